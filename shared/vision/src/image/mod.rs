//! Image files as 8-bit RGB pictures.
//!
//! PNG and JPEG; grey becomes three equal channels, 16 bits are rounded to 8, a palette is looked up, transparency is ignored
//! (as PIL's `convert("RGB")` does), and so is EXIF rotation.

mod augment;
mod fingerprint;
mod preprocess;
mod resize;
mod smooth;
mod source;

use std::fmt;
use std::io::{self, Cursor};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ::image::codecs::png::PngEncoder;
use ::image::error::{ImageError as DecodeError, LimitErrorKind};
use ::image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits,
};

pub use augment::{Alteration, Augmentation, AugmentationError, Part, RandomCrop};
pub use fingerprint::{Fingerprint, PerceptualHash};
pub use preprocess::{Colour, Interpolation, Preprocess, PreprocessError};
pub(crate) use source::read_from;
pub use source::{Files, ImageSource};

/// Longest side, in pixels.
const MAX_SIDE: u32 = 30_000;

/// Most pixels: 300 MB as RGB.
const MAX_PIXELS: u64 = 100_000_000;

/// Largest file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// A decoded image: RGB, 8 bits, row by row.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// A picture of `width * height` RGB triples; `None` if the sizes don't fit or a side is 0.
    pub fn from_rgb(width: usize, height: usize, rgb: Vec<u8>) -> Option<Self> {
        let len = width.checked_mul(height)?.checked_mul(3)?;
        (len > 0 && len == rgb.len()).then_some(Self { width, height, rgb })
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// `3 * width * height` values.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The picture with at most `longest` pixels a side, at least 1; one that is smaller stays as it is.
    pub fn at_most(&self, longest: usize) -> Self {
        let side = self.width.max(self.height);
        if side <= longest.max(1) {
            return self.clone();
        }
        let scaled = |pixels: usize| (pixels * longest.max(1)).div_ceil(side);
        let (width, height) = (scaled(self.width), scaled(self.height));
        let sizes = [width, height];
        let rgb = resize::resize_part(self, sizes, 0..width, 0..height, Interpolation::Bilinear);
        Self { width, height, rgb }
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// A side above 2^31 pixels.
    pub fn png(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // A decoded picture has at most MAX_SIDE pixels a side.
        let (width, height) = (self.width as u32, self.height as u32);
        PngEncoder::new(&mut bytes)
            .write_image(&self.rgb, width, height, ExtendedColorType::Rgb8)
            .map_err(io::Error::other)?;
        Ok(bytes)
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({} x {})", self.width, self.height)
    }
}

/// An image file that can't be used; every variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file can't be read.
    #[error("{name}: {source}")]
    Read {
        /// The file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// Neither PNG nor JPEG, or a variant of them that isn't supported.
    #[error("{name}: unsupported image: {reason}; expected PNG or JPEG")]
    Unsupported {
        /// The file.
        name: String,
        /// What it is instead.
        reason: String,
    },
    /// The file ends before the image does.
    #[error("{name}: truncated image: {reason}")]
    Truncated {
        /// The file.
        name: String,
        /// What is missing.
        reason: String,
    },
    /// The contents contradict themselves.
    #[error("{name}: corrupt image: {reason}")]
    Corrupt {
        /// The file.
        name: String,
        /// The decoder's words.
        reason: String,
    },
    /// Refused before any memory was taken for it.
    #[error("{name}: image too large: {reason}")]
    TooLarge {
        /// The file.
        name: String,
        /// Its size and the limit.
        reason: String,
    },
}

/// Reads an image file.
pub fn read_picture(path: &Path) -> Result<Picture, ImageError> {
    let name = path.display().to_string();
    decode_picture(&read_file(path)?, &name)
}

/// Decodes an image file's bytes; `name` is for errors.
pub fn decode_picture(bytes: &[u8], name: &str) -> Result<Picture, ImageError> {
    // A decoder's bug on one strange file must not end the run over a hospital's images.
    catch_unwind(AssertUnwindSafe(|| decode(bytes, name))).unwrap_or_else(|_| {
        Err(ImageError::Corrupt { name: name.to_owned(), reason: "the decoder failed".to_owned() })
    })
}

/// SHA-256 of the file's bytes.
pub fn image_digest(path: &Path) -> io::Result<[u8; 32]> {
    crate::weights::sha256(path)
}

/// The file's bytes, unless it is absurdly large.
fn read_file(path: &Path) -> Result<Vec<u8>, ImageError> {
    read_from(&Files, path, |_| ()).map(|((), bytes)| bytes)
}

/// About how much memory decoding a file takes, in bytes: the picture in the file's own colours and as RGB. What can't be decoded takes
/// next to none.
pub(crate) fn decoded_bytes(bytes: &[u8]) -> u64 {
    const PER_PIXEL: u64 = 4 + 3;
    let size = catch_unwind(AssertUnwindSafe(|| {
        let format = ::image::guess_format(bytes).ok()?;
        ImageReader::with_format(Cursor::new(bytes), format).into_dimensions().ok()
    }));
    let (width, height) = size.ok().flatten().unwrap_or((0, 0));
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS { 0 } else { pixels * PER_PIXEL }
}

fn decode(bytes: &[u8], name: &str) -> Result<Picture, ImageError> {
    let named = || name.to_owned();
    if bytes.is_empty() {
        return Err(ImageError::Truncated {
            name: named(),
            reason: "the file is empty".to_owned(),
        });
    }
    let format = ::image::guess_format(bytes).map_err(|_| ImageError::Unsupported {
        name: named(),
        reason: "an unknown kind of file".to_owned(),
    })?;
    if !matches!(format, ImageFormat::Png | ImageFormat::Jpeg) {
        return Err(ImageError::Unsupported { name: named(), reason: format!("{format:?}") });
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(Limits::no_limits());
    let mut decoder = reader.into_decoder().map_err(|error| refusal(error, name))?;
    let (width, height) = decoder.dimensions();
    if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        let reason =
            format!("{width} x {height} pixels, at most {MAX_SIDE} a side and {MAX_PIXELS} in all");
        return Err(ImageError::TooLarge { name: named(), reason });
    }
    if format == ImageFormat::Jpeg && !jpeg_ends(bytes) {
        return Err(ImageError::Truncated {
            name: named(),
            reason: "the end of the JPEG stream is missing".to_owned(),
        });
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_PIXELS * 8);
    decoder.set_limits(limits).map_err(|error| refusal(error, name))?;
    let rgb =
        DynamicImage::from_decoder(decoder).map_err(|error| refusal(error, name))?.into_rgb8();
    Picture::from_rgb(width as usize, height as usize, rgb.into_raw()).ok_or_else(|| {
        ImageError::Corrupt { name: named(), reason: format!("{width} x {height} pixels") }
    })
}

fn refusal(error: DecodeError, name: &str) -> ImageError {
    let name = name.to_owned();
    let reason = error.to_string();
    match error {
        DecodeError::Unsupported(_) => ImageError::Unsupported { name, reason },
        DecodeError::Limits(limit)
            if !matches!(limit.kind(), LimitErrorKind::Unsupported { .. }) =>
        {
            ImageError::TooLarge { name, reason }
        }
        DecodeError::IoError(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
            ImageError::Truncated { name, reason }
        }
        _ => ImageError::Corrupt { name, reason },
    }
}

/// Whether an end-of-image marker follows the first scan. Decoders fill a cut JPEG with grey, which must not become features.
fn jpeg_ends(bytes: &[u8]) -> bool {
    const SCAN: u8 = 0xda;
    let mut at = 2;
    // Segments before the scan are skipped by their length: a thumbnail in one has an end marker of its own.
    while let Some(&[0xff, marker, high, low]) = bytes.get(at..at + 4) {
        if marker == SCAN {
            return bytes[at..].windows(2).any(|pair| pair == [0xff, 0xd9]);
        }
        at += match marker {
            // Fill byte; markers without a length.
            0xff => 1,
            0x01 | 0xd0..=0xd8 => 2,
            _ => 2 + usize::from(u16::from_be_bytes([high, low])),
        };
    }
    // No scan at all: the decoder says it better.
    true
}
