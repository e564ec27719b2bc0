//! A batch goes through an expression or a plugin.
//!
//! The rule: a record that fails is named by its row and leaves its neighbours as they were.
//! Left to others: where rejected rows go (`reject`), and the WebAssembly boundary (`plugin`).

pub mod expression;
