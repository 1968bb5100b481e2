//! A buffer of floats that starts on a cache line, so that no vector load straddles two.

use std::ops::{Deref, DerefMut};

use super::{Bf16, LANE};

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LANE]);

/// Floats on a 64-byte boundary; the length is a multiple of [`LANE`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Aligned(Vec<Line>);

impl Aligned {
    /// At least `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        Self(vec![Line([0.0; LANE]); len.div_ceil(LANE)])
    }

    /// Grows to at least `len` floats; new floats are zero, old ones stay.
    pub(crate) fn reserve(&mut self, len: usize) {
        let lines = len.div_ceil(LANE);
        if self.0.len() < lines {
            self.0.resize(lines, Line([0.0; LANE]));
        }
    }
}

/// The same memory as bfloat16, two to a float.
impl Aligned {
    /// To write.
    pub(crate) fn as_bf16_mut(&mut self) -> &mut [Bf16] {
        // SAFETY: every 16 bits are a bfloat16 (`repr(transparent)` around u16), n lines are n * LANE * 2 of them in one allocation,
        // and lines are aligned to more; the borrow of `self` is exclusive, and whatever is written is two halves of some float.
        unsafe {
            std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * LANE * 2)
        }
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `Line` is `repr(C)` around `[f32; LANE]` and has no padding (64 bytes, aligned to 64), so n lines are n * LANE
        // initialised floats in one allocation.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast::<f32>(), self.0.len() * LANE) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`; the borrow of `self` is exclusive.
        unsafe {
            std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast::<f32>(), self.0.len() * LANE)
        }
    }
}
