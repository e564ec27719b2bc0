//! Programs of other people that judge the emulator and the store, at fixed versions, fetched once into the target folder's `judges`.
//!
//! Python clients come from the Python package index into an environment, DynamoDB Local and the Kinesis Client Library from Maven with what
//! they need, an S3 server with conditional writes from the module registry of Go. What a judge was made from stands beside it; another text there
//! means: fetch again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::run;

const PYTHON: &[&str] = &["boto3==1.43.11", "awscli==1.45.11"];
/// Names DynamoDB Local and its version.
const DYNAMODB: &str = include_str!("../../emulator/tests/judges/dynamodb/pom.xml");
/// Keeps it on loopback.
const LOOPBACK: &str = include_str!("../../emulator/tests/judges/dynamodb/loopback.c");
/// The S3 server, and its version.
const VERSITYGW: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";
/// The oldest Go that builds it.
const GO: (u32, u32) = (1, 25);
/// Names the Kinesis Client Library and its version.
const KCL: &str = include_str!("../../emulator/tests/judges/kcl/pom.xml");
/// An application of it.
const READER: &str = include_str!("../../emulator/tests/judges/kcl/Reader.java");

/// The folder with all of them.
pub fn fetch() -> Result<PathBuf, String> {
    let folder = run::target().join("judges");
    python(&folder)?;
    dynamodb(&folder.join("dynamodb"))?;
    s3(&folder.join("s3"))?;
    kcl(&folder.join("kcl"))?;
    Ok(folder)
}

/// The folder, with the S3 server alone.
pub fn fetch_s3() -> Result<PathBuf, String> {
    let folder = run::target().join("judges");
    s3(&folder.join("s3"))?;
    Ok(folder)
}

fn python(folder: &Path) -> Result<(), String> {
    once(folder, &PYTHON.join(" "), || {
        let mut create = Command::new("python3");
        create.args(["-m", "venv", "--clear"]).arg(folder);
        run::show(create)?;
        let mut install = Command::new(folder.join("bin/python3"));
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PYTHON);
        run::show(install)
    })
}

fn dynamodb(folder: &Path) -> Result<(), String> {
    once(folder, &format!("{DYNAMODB}{LOOPBACK}"), || {
        jars(folder, DYNAMODB)?;
        write(&folder.join("loopback.c"), LOOPBACK)?;
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O2", "-o", "loopback.so", "loopback.c", "-ldl"]).current_dir(folder);
        run::show(compile)
    })
}

/// Whether this machine can build the S3 server; if not, says what is missing, and what is skipped for want of it.
pub fn has_go() -> bool {
    let said = run::output("go", &["env", "GOVERSION"]).unwrap_or_default();
    let mut numbers = said.trim().trim_start_matches("go").split('.').map_while(|number| number.parse().ok());
    let is_new = numbers.next().zip(numbers.next()) >= Some(GO);
    if !is_new {
        // distributions come with older ones: what could be installed by itself would not do
        let (major, minor) = GO;
        println!(
            "xtask: this machine lacks Go {major}.{minor} or newer (go.dev/dl): tests against an S3 server are skipped"
        );
    }
    is_new
}

fn s3(folder: &Path) -> Result<(), String> {
    if !has_go() {
        return Ok(());
    }
    once(folder, VERSITYGW, || {
        let failed = |e| format!("cannot make {}: {e}", folder.display());
        fs::create_dir_all(folder).map_err(failed)?;
        let folder = folder.canonicalize().map_err(failed)?;
        let mut install = Command::new("go");
        // outside of any module of ours or of whoever calls
        install.args(["install", VERSITYGW]).env("GOBIN", &folder).current_dir(&folder);
        run::show(install)
    })
}

fn kcl(folder: &Path) -> Result<(), String> {
    once(folder, &format!("{KCL}{READER}"), || {
        jars(folder, KCL)?;
        write(&folder.join("Reader.java"), READER)?;
        let mut compile = Command::new("javac");
        compile.args(["-d", "classes", "-cp", "jars/*", "Reader.java"]).current_dir(folder);
        run::show(compile)
    })
}

/// What a list of dependencies names, and all that needs.
fn jars(folder: &Path, pom: &str) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    write(&folder.join("pom.xml"), pom)?;
    let mut fetch = Command::new("mvn");
    fetch.args(["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars", "-DincludeScope=runtime"]);
    fetch.current_dir(folder);
    run::show(fetch)
}

/// Makes a folder unless it was made from the same.
fn once(folder: &Path, of: &str, make: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let made = folder.join("made-of");
    if fs::read_to_string(&made).is_ok_and(|text| text == of) {
        return Ok(());
    }
    make()?;
    write(&made, of)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}
