//! The `pelton` command: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    pelton::cli::main()
}
