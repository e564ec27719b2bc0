//! What the build needs beyond rustup, and how to get it: a C++ compiler and libclang for RocksDB, cmake for the TLS library, and
//! the WASM target for plugins. On Debian as root it installs; elsewhere it prints the exact command and stops.

use std::{path::Path, process::Command};

use crate::run;

struct Need {
    what: &'static str,
    debian: &'static str,
    brew: &'static str,
    present: fn() -> bool,
}

const NEEDS: &[Need] = &[
    Need {
        what: "a C and C++ compiler",
        debian: "build-essential",
        brew: "llvm",
        present: || run::works("c++", &["--version"]),
    },
    Need { what: "cmake", debian: "cmake", brew: "cmake", present: || run::works("cmake", &["--version"]) },
    Need {
        what: "python3 with venv (clients that judge the emulator, and an oracle)",
        debian: "python3 python3-venv",
        brew: "python3",
        present: || run::works("python3", &["-c", "import venv, ensurepip"]),
    },
    Need {
        what: "Maven and a Java compiler (programs of others that judge the emulator, leases and schemas)",
        debian: "maven default-jdk-headless",
        brew: "maven openjdk",
        present: || run::works("mvn", &["--version"]) && run::works("javac", &["-version"]),
    },
    Need {
        what: "Node.js with npm (plugins in JavaScript and TypeScript)",
        debian: "nodejs npm",
        brew: "node",
        present: || run::works("node", &["--version"]) && run::works("npm", &["--version"]),
    },
    Need { what: "lld (plugins in C)", debian: "lld", brew: "lld", present: || run::works("wasm-ld", &["--version"]) },
    Need { what: "libclang (bindings of RocksDB)", debian: "libclang-dev clang", brew: "llvm", present: has_libclang },
];

const TARGET: &str = "wasm32-wasip2";

fn has_libclang() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let folders = run::output(
        "sh",
        &[
            "-c",
            "ls -d /usr/lib/llvm-*/lib /usr/lib/*-linux-gnu /opt/homebrew/opt/llvm/lib /usr/local/opt/llvm/lib 2>/dev/null; true",
        ],
    );
    let holds = |folder: &str| {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files
            .map(|file| file.file_name().to_string_lossy().into_owned())
            .any(|name| name.starts_with("libclang.") || name.starts_with("libclang-"))
    };
    run::works("clang", &["--version"]) && folders.unwrap_or_default().lines().any(holds)
}

/// Checks everything, installs what it can, and says what it does.
pub fn mend() -> Result<(), String> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.present)()).collect();
    if !missing.is_empty() {
        install(&missing)?;
    }
    let installed = run::output("rustup", &["target", "list", "--installed"]).unwrap_or_default();
    if !installed.lines().any(|line| line == TARGET) {
        println!("xtask: the compiler lacks the target {TARGET}");
        let mut add = Command::new("rustup");
        add.args(["target", "add", TARGET]).current_dir(run::root());
        run::show(add)?;
    }
    Ok(())
}

fn install(missing: &[&Need]) -> Result<(), String> {
    for need in missing {
        println!("xtask: this machine lacks {}", need.what);
    }
    let packages = |of: fn(&Need) -> &'static str| {
        let mut names: Vec<&str> = missing.iter().flat_map(|need| of(need).split(' ')).collect();
        names.dedup();
        names
    };
    let debian = packages(|need| need.debian);
    let root = run::output("id", &["-u"]).is_some_and(|id| id.trim() == "0");
    if !Path::new("/usr/bin/apt-get").exists() || !root {
        let how = if cfg!(target_os = "macos") {
            format!("brew install {}", packages(|need| need.brew).join(" "))
        } else {
            format!("sudo apt-get install -y {}", debian.join(" "))
        };
        return Err(format!("install what is missing, then run the command again:\n\n  {how}"));
    }
    let mut update = Command::new("apt-get");
    update.arg("update");
    run::show(update)?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "--no-install-recommends"]).args(debian).env("DEBIAN_FRONTEND", "noninteractive");
    run::show(install)?;
    match missing.iter().find(|need| !(need.present)()) {
        None => Ok(()),
        Some(need) => {
            Err(format!("{} is still missing after its installation; run `cargo xtask doctor` again", need.what))
        }
    }
}
