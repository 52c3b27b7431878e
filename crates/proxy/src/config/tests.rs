//! The configuration as a whole: what its files mean, and what is said about mistakes in them.

mod examples;
mod mistakes;
mod round_trip;
mod values;
