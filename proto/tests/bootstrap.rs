//! The generated code is checked in, so that nobody needs a protobuf compiler. This test makes it
//! again and fails when it differs; run it with `WARDROUND_BLESS=1` after changing the `.proto`.

use std::path::Path;

#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = std::env::temp_dir().join(format!("wardround-proto-{}", std::process::id()));
    std::fs::create_dir_all(&out).unwrap();
    let files = protox::compile(["wardround/v1/wardround.proto"], [root.join("proto")]).unwrap();
    tonic_prost_build::configure()
        .out_dir(&out)
        .build_client(true)
        .build_server(true)
        .build_transport(false)
        .compile_fds(files)
        .unwrap();
    let fresh = std::fs::read_to_string(out.join("wardround.v1.rs")).unwrap();
    std::fs::remove_dir_all(&out).unwrap();
    let kept = root.join("src/gen/wardround.v1.rs");
    if std::env::var_os("WARDROUND_BLESS").is_some() {
        std::fs::write(&kept, &fresh).unwrap();
    }
    assert!(
        std::fs::read_to_string(&kept).unwrap() == fresh,
        "the generated code is old: run this test with WARDROUND_BLESS=1"
    );
}
