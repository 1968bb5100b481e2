//! Checkpoints that torch wrote.

use std::fs;

use wardround_vision::weights::{FormatError, StateDict};

use super::golden;

fn read(name: &str) -> Result<StateDict, FormatError> {
    StateDict::parse(&fs::read(golden(name)).unwrap())
}

#[test]
fn both_containers_hold_what_safetensors_says() {
    let expected = read("tiny.safetensors").unwrap();
    assert_eq!(expected.shapes().count(), 9);
    for name in ["tiny-zip.pth", "tiny-legacy.pth", "tiny-wrapped.pth"] {
        assert_eq!(read(name).unwrap(), expected, "{name}");
    }
}

#[test]
fn a_pickled_module_is_refused_by_its_class() {
    let error = read("tiny-module.pth").unwrap_err();
    assert!(
        matches!(&error, FormatError::Global(name) if name == "torch.nn.modules.linear.Linear"),
        "{error}"
    );
}

#[test]
fn a_checkpoint_cut_anywhere_is_refused() {
    for name in ["tiny-zip.pth", "tiny-legacy.pth", "tiny.safetensors"] {
        let bytes = fs::read(golden(name)).unwrap();
        for cut in 0..bytes.len() {
            assert!(StateDict::parse(&bytes[..cut]).is_err(), "{name} cut at {cut}");
        }
    }
}

#[test]
fn a_cut_in_a_storage_names_the_tensor_and_both_sizes() {
    let bytes = fs::read(golden("tiny-legacy.pth")).unwrap();
    let error = StateDict::parse(&bytes[..bytes.len() - 1]).unwrap_err();
    let FormatError::Truncated { what, expected, got } = &error else { panic!("{error}") };
    assert!(what.starts_with("tensor `") && expected == &(got + 1), "{error}");
}

#[test]
fn a_changed_byte_never_panics() {
    for name in ["tiny-zip.pth", "tiny-legacy.pth", "tiny.safetensors"] {
        let bytes = fs::read(golden(name)).unwrap();
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut broken = bytes.clone();
                broken[at] ^= flip;
                // Right or refused; a flipped bit in a value is for the digest to see.
                let _ = StateDict::parse(&broken);
            }
        }
    }
}
