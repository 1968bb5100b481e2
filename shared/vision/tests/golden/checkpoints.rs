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
fn a_cut_in_a_tensor_names_it_its_shape_and_both_sizes() {
    // A tensor's last byte: the last but one of the file, or for the zip the one where its member ends.
    for (name, shape, bytes) in [
        ("wrong.safetensors", "`conv.weight` of shape [4, 2, 3, 3]", 288),
        ("wrong-legacy.pth", "`conv.bias` of shape [4]", 16),
        ("wrong-zip.pth", "`conv.weight` of shape [4, 2, 3, 3]", 288),
    ] {
        let whole = fs::read(golden(name)).unwrap();
        let value = read(name).unwrap();
        let last = value.get("conv.weight").unwrap().values[71].to_le_bytes();
        let end = match name {
            "wrong-zip.pth" => whole.windows(4).position(|four| four == last).unwrap() + 4,
            _ => whole.len(),
        };
        let error = StateDict::parse(&whole[..end - 1]).unwrap_err();
        let FormatError::Truncated { what, expected, got } = &error else { panic!("{error}") };
        assert_eq!(*what, format!("tensor {shape}"), "{name}");
        assert_eq!((*expected, *got), (bytes, bytes - 1), "{name}");
    }
}

#[test]
fn a_cut_zip_names_the_first_tensor_that_is_lost() {
    let whole = fs::read(golden("wrong-zip.pth")).unwrap();
    let first = whole.windows(6).position(|six| six == b"data/0").unwrap();
    let error = StateDict::parse(&whole[..first]).unwrap_err().to_string();
    let expected =
        "truncated: tensor `conv.weight` of shape [4, 2, 3, 3] needs 288 bytes, 0 are left";
    assert_eq!(error, expected);
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
