//! What commands print for people: tables that fit the screen, sizes and times in words, the progress
//! of long work, and the values of `-o`.
//!
//! It knows no command and asks nobody: what a cell says is its caller's.

pub mod format;
pub mod progress;
pub mod table;
