//! sink/json_lines: being built.
