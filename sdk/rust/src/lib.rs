//! Pure functions for Pappus, in Rust.
//!
//! A function takes sets of items and leaves sets of items. It is a library of
//! the type `cdylib`, compiled for `wasm32-unknown-unknown`, with one entry:
//!
//! ```
//! use pappus::{Error, Inputs, Outputs};
//!
//! pappus::manifest!({
//!     "name": "upper",
//!     "inputs": ["text"],
//!     "outputs": ["upper"],
//!     "layout": "grow"
//! });
//!
//! pappus::main!(run);
//!
//! fn run(inputs: &Inputs, outputs: &mut Outputs) -> Result<(), Error> {
//!     for item in &inputs["text"] {
//!         outputs["upper"].put_keyed(item.name(), item.key(), item.data().to_ascii_uppercase());
//!     }
//!     Ok(())
//! }
//! # run(&Inputs::of(&[("text", &[("a", b"be")])]), &mut Outputs::of(&["upper"])).unwrap();
//! ```
//!
//! The same source compiled for `wasm32-wasi` (`wasm32-wasip1` in newer
//! versions of Rust) becomes a function through `pappus purify`; it has the
//! files and streams of the standard library as well. On other targets `run` is
//! an ordinary function, for tests: see [`Inputs::of`].
#![no_std]
#![deny(unsafe_op_in_unsafe_fn, missing_docs)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod error;
mod inputs;
mod item;
mod manifest;
mod outputs;

pub use error::Error;
pub use inputs::{Inputs, NamedBytes, Set};
pub use item::Item;
pub use outputs::{IntoBytes, OutputItem, OutputSet, Outputs};

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
mod heap;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
#[path = "unknown.rs"]
#[doc(hidden)]
pub mod platform;

#[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
#[path = "wasi.rs"]
#[doc(hidden)]
pub mod platform;

#[cfg(not(target_arch = "wasm32"))]
#[path = "host.rs"]
#[doc(hidden)]
pub mod platform;

/// What [`main!`] takes: it reads the inputs, and adds to the outputs.
pub type Function = fn(&Inputs, &mut Outputs) -> Result<(), Error>;

/// Makes a [`Function`] the entry of the module. Once in a program.
#[macro_export]
macro_rules! main {
    ($run:path) => {
        #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
        #[export_name = "_start"]
        #[doc(hidden)]
        pub extern "C" fn __pappus_start() {
            $crate::platform::start($run)
        }

        #[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
        #[export_name = "run"]
        #[doc(hidden)]
        pub extern "C" fn __pappus_run() -> i32 {
            $crate::platform::run($run)
        }

        #[cfg(not(target_arch = "wasm32"))]
        const _: $crate::Function = $run;
    };
}

/// Writes a line to the function's stderr, like `eprintln!`: it becomes the item
/// `stderr` of the output set `stdio`, if the function has one. Outside of a
/// function it is `eprintln!`.
#[macro_export]
macro_rules! log {
    ($($arg:tt)*) => { $crate::platform::log(::core::format_args!($($arg)*)) };
}
