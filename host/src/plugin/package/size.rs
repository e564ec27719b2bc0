//! What is small in a file and large in memory, or slow to compile.
//!
//! The rule: what an instance costs the host beside its memories and tables, which are counted while it runs, is bounded by what its file
//! may declare. Generous: the largest plugin we know, Python with its libraries, has 13,500 functions, 871 globals and a body of 430 KB.
//! Left to others: whether the file is sound (the compiler says so), how large it is as a whole (`Limits::component`).

use wasmparser::{FunctionBody, Operator, Parser, Payload};

/// Functions of all core modules. Each costs a compilation, and each instance holds a pointer or more for one that is taken as a value.
const FUNCTIONS: u64 = 100_000;

/// Globals of all core modules. Each of the 64 core instances that a plugin may have holds 16 bytes for each of its module's.
const GLOBALS: u64 = 20_000;

/// Bytes of one function. What the compiler takes for one grows faster than its length.
const BODY: usize = 1 << 20;

/// Blocks within blocks. What the compiler takes grows with their square.
const DEPTH: usize = 5_000;

/// Says what there is too much of.
pub(super) fn check(wasm: &[u8]) -> Result<(), String> {
    let (mut functions, mut globals) = (0, 0);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload {
            Ok(Payload::FunctionSection(section)) => functions += u64::from(section.count()),
            Ok(Payload::GlobalSection(section)) => globals += u64::from(section.count()),
            Ok(Payload::CodeSectionEntry(body)) => check_body(&body)?,
            Ok(_) => {}
            // the compiler names what is not sound
            Err(_) => return Ok(()),
        }
        for (what, count, most) in [("functions", functions, FUNCTIONS), ("globals", globals, GLOBALS)] {
            if count > most {
                return Err(format!(
                    "declares more {what} than a plugin may have: at least {count}, the limit is {most}"
                ));
            }
        }
    }
    Ok(())
}

fn check_body(body: &FunctionBody<'_>) -> Result<(), String> {
    let bytes = body.range().len();
    if bytes > BODY {
        return Err(format!("has a function of {bytes} bytes, the limit is {BODY}: optimise for size, or split it"));
    }
    let Ok(operators) = body.get_operators_reader() else { return Ok(()) };
    let mut depth = 0_usize;
    for operator in operators {
        match operator {
            Ok(Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } | Operator::TryTable { .. }) => {
                depth += 1;
            }
            Ok(Operator::End) => depth = depth.saturating_sub(1),
            Ok(_) => {}
            Err(_) => return Ok(()),
        }
        if depth > DEPTH {
            return Err(format!("has a function with more than {DEPTH} blocks within blocks: split it"));
        }
    }
    Ok(())
}
