//! The binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    wardround_net::install_crypto_provider();
    wardround_site::cli::main()
}
