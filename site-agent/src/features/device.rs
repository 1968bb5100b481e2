//! Where this site computes.

/// The device by its best instructions: "cpu avx-512", "cpu avx2", "cpu". Features of two devices may
/// differ in their last digits.
pub fn device() -> String {
    match instructions() {
        Some(instructions) => format!("cpu {instructions}"),
        None => "cpu".to_owned(),
    }
}

#[cfg(target_arch = "x86_64")]
fn instructions() -> Option<&'static str> {
    if is_x86_feature_detected!("avx512f") {
        Some("avx-512")
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        Some("avx2")
    } else {
        None
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn instructions() -> Option<&'static str> {
    None
}
