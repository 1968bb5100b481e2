//! The binary.

fn main() -> std::process::ExitCode {
    wardround::cli::run(std::env::args_os()).into()
}
