//! Reading and resizing against Pillow.

use std::fs;
use std::path::Path;

use wardround_vision::{
    ImageError, Interpolation, Preprocess, decode_picture, image_digest, read_picture,
};

use super::golden;

/// Largest difference of two pictures' values.
fn difference(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn resized_crops_are_pillows() {
    let mut seen = 0;
    for entry in fs::read_dir(golden("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let Some(rest) = name.strip_prefix("resized-") else { continue };
        let parts: Vec<&str> = rest.split('-').collect();
        let interpolation = match parts[3] {
            "bicubic" => Interpolation::Bicubic,
            "bilinear" => Interpolation::Bilinear,
            other => panic!("{other}"),
        };
        let [shorter_side, crop] = [parts[1], parts[2]].map(|n| n.parse().unwrap());
        let preprocess =
            Preprocess::new(shorter_side, crop, interpolation, [0.0; 3], [1.0; 3]).unwrap();
        let picture = read_picture(&golden(&format!("picture-{}.png", parts[0]))).unwrap();
        let expected = read_picture(&path).unwrap();
        assert_eq!((expected.width(), expected.height()), (crop, crop));
        assert_eq!(difference(&preprocess.resize(&picture), expected.rgb()), 0, "{name}");
        let planes = preprocess.apply(&picture);
        assert_eq!(
            planes[crop * crop + 1],
            f32::from(expected.rgb()[4]) / 255.0,
            "channels are planes"
        );
        seen += 1;
    }
    assert_eq!(seen, 12);
}

#[test]
fn every_kind_of_file_is_read_as_pillow_does() {
    // A JPEG decoder may round differently, most where halved chroma is interpolated: the standard allows it.
    for (kind, allowed) in [
        ("grey.png", 0),
        ("palette.png", 0),
        ("alpha.png", 0),
        ("bits.png", 0),
        ("colour.jpg", 3),
        ("progressive.jpg", 3),
        ("420.jpg", 6),
        ("grey.jpg", 1),
    ] {
        let got = read_picture(&golden(&format!("kind-{kind}"))).unwrap();
        let expected = read_picture(&golden(&format!("kind-{kind}.rgb.png"))).unwrap();
        assert_eq!((got.width(), got.height()), (expected.width(), expected.height()), "{kind}");
        let difference = difference(got.rgb(), expected.rgb());
        assert!(difference <= allowed, "{kind}: {difference}");
    }
    // Pillow clips 16-bit grey; here it is rounded to 8 bits, which gives the 8-bit picture back.
    let wide = read_picture(&golden("kind-grey16.png")).unwrap();
    assert_eq!(wide, read_picture(&golden("kind-grey.png")).unwrap());
}

#[test]
fn a_file_cut_anywhere_is_refused_and_named() {
    for file in [
        "kind-palette.png",
        "kind-alpha.png",
        "kind-colour.jpg",
        "kind-420.jpg",
        "kind-progressive.jpg",
    ] {
        let bytes = fs::read(golden(file)).unwrap();
        decode_picture(&bytes, file).unwrap();
        // A PNG's last 12 bytes are its end chunk, without which the picture is whole.
        for cut in (0..bytes.len() - 12).step_by(7) {
            let error =
                decode_picture(&bytes[..cut], file).expect_err(&format!("{file} cut at {cut}"));
            assert!(error.to_string().starts_with(file), "{error}");
        }
    }
}

#[test]
fn noise_never_panics_and_never_becomes_a_picture_silently() {
    let bytes = fs::read(golden("kind-420.jpg")).unwrap();
    for at in 0..bytes.len() {
        let mut broken = bytes.clone();
        broken[at] ^= 0x55;
        if let Ok(picture) = decode_picture(&broken, "x") {
            assert_eq!(picture.rgb().len(), 3 * picture.width() * picture.height());
        }
    }
}

#[test]
fn absurd_sizes_are_refused_before_memory_is_taken() {
    let mut bytes = fs::read(golden("kind-grey.png")).unwrap();
    // Width and height in the header chunk, and its checksum.
    bytes[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let sum = crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.to_be_bytes());
    let error = decode_picture(&bytes, "bomb.png").unwrap_err();
    assert!(matches!(error, ImageError::TooLarge { .. }), "{error}");
    assert!(error.to_string().contains("65536 x 65536"), "{error}");
}

#[test]
fn other_files_are_unsupported() {
    for bytes in [b"GIF89a\x01\x00\x01\x00".as_slice(), b"hello, world", b"BM\0\0\0\0\0\0\0\0"] {
        let error = decode_picture(bytes, "x.png").unwrap_err();
        assert!(matches!(error, ImageError::Unsupported { .. }), "{error}");
    }
    let error = read_picture(Path::new("nowhere.png")).unwrap_err();
    assert!(error.to_string().starts_with("nowhere.png"), "{error}");
}

#[test]
fn the_digest_is_of_the_files_bytes() {
    let digest = image_digest(&golden("kind-grey.png")).unwrap();
    assert_eq!(digest, image_digest(&golden("kind-grey.png")).unwrap());
    assert_ne!(digest, image_digest(&golden("kind-bits.png")).unwrap());
}

/// CRC-32 of ISO 3309, as PNG uses it.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

#[test]
fn grey_squares_are_torchxrayvisions() {
    let expected =
        candle_core::safetensors::load(golden("xray.safetensors"), &candle_core::Device::Cpu)
            .unwrap();
    assert_eq!(expected.len(), 5);
    for (name, want) in expected {
        let side = want.dims()[2];
        let preprocess: Preprocess = serde_json::from_value(serde_json::json!({
            "shorter_side": side,
            "crop": side,
            "interpolation": "smoothed",
            "mean": [0.5, 0.5, 0.5],
            "std": [1.0 / 2048.0, 1.0 / 2048.0, 1.0 / 2048.0],
            "colour": "grey",
        }))
        .unwrap();
        let picture = read_picture(&golden(&name)).unwrap();
        let got = preprocess.tensor(&[preprocess.apply(&picture)]).unwrap();
        assert_eq!(got.dims(), [1, 1, side, side]);
        let difference = (got.squeeze(0).unwrap() - &want).unwrap().abs().unwrap();
        let difference = difference.flatten_all().unwrap().max(0).unwrap();
        // SciPy rounds to f32 between its steps: of 1,024 that is 1e-4 at most each time.
        let difference = difference.to_scalar::<f32>().unwrap();
        assert!(difference < 1e-3, "{name}: {difference}");
        let pixels = preprocess.resize(&picture);
        assert_eq!(pixels.len(), 3 * side * side);
        let first =
            (want.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0] / 2048.0 + 0.5) * 255.0;
        assert!((f32::from(pixels[0]) - first).abs() < 0.51, "{name}");
    }
}
