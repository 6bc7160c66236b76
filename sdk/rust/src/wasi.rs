//! The platform as `pappus purify` has it in a module for WASI.
use alloc::vec::Vec;
use core::fmt;

use crate::item::bytes;
use crate::{Function, Inputs, Item, Outputs, Set};

#[cfg(not(feature = "std"))]
compile_error!("for WASI the crate needs its feature std");

#[link(wasm_import_module = "dandelion")]
extern "C" {
    fn input_set_count() -> u32;
    fn input_set_ident(set: u32) -> *const u8;
    fn input_set_ident_len(set: u32) -> u32;
    fn input_buffer_count(set: u32) -> u32;
    fn get_input(set: u32, item: u32) -> *const Item;
    fn output_set_count() -> u32;
    fn output_set_ident(set: u32) -> *const u8;
    fn output_set_ident_len(set: u32) -> u32;
    fn add_output(set: u32, ident: *const u8, ident_len: u32, data: *const u8, data_len: u32, key: u32) -> u32;
}

/// The exit code of a function that is out of memory.
const OUT_OF_MEMORY: i32 = 259;

/// The exit code of Rust's programs that panic.
const PANICKED: i32 = 101;

/// See [`crate::log!`].
pub fn log(message: fmt::Arguments<'_>) {
    std::eprintln!("{}", message);
}

/// Runs the function and tells its exit code.
pub fn run(function: Function) -> i32 {
    let before = std::panic::take_hook();
    std::panic::set_hook(std::boxed::Box::new(move |info| {
        before(info);
        // A trap would leave stderr behind.
        std::process::exit(PANICKED);
    }));
    let (inputs, mut outputs) = (inputs(), outputs());
    if let Err(error) = function(&inputs, &mut outputs) {
        std::eprintln!("{}", error.message());
        return error.code();
    }
    let code = put(&outputs);
    // The platform reads the items when all is over.
    core::mem::forget(outputs);
    code
}

fn inputs() -> Inputs {
    // SAFETY: the adapter answers for every set that it counts, and what it
    // points to stays until the end. The items of a set lie side by side.
    let set = |i| unsafe {
        let name = bytes(input_set_ident(i), input_set_ident_len(i) as usize);
        let items: &'static [Item] = match input_buffer_count(i) as usize {
            0 => &[],
            n => core::slice::from_raw_parts(get_input(i, 0), n),
        };
        Set::new(core::str::from_utf8(name).unwrap_or(""), items)
    };
    // SAFETY: it has no arguments.
    Inputs::new((0..unsafe { input_set_count() }).map(set).collect())
}

fn outputs() -> Outputs {
    // SAFETY: as in inputs.
    let name = |i| unsafe { core::str::from_utf8(bytes(output_set_ident(i), output_set_ident_len(i) as usize)).unwrap_or("") };
    // SAFETY: it has no arguments.
    let names: Vec<&str> = (0..unsafe { output_set_count() }).map(name).collect();
    Outputs::of(&names)
}

fn put(outputs: &Outputs) -> i32 {
    for (i, set) in outputs.sets().iter().enumerate() {
        for item in set.items() {
            let (name, data) = (item.name(), item.data());
            // SAFETY: both are bytes of the outputs, which are never given back.
            let failed = unsafe { add_output(i as u32, name.as_ptr(), name.len() as u32, data.as_ptr(), data.len() as u32, item.key()) };
            if failed != 0 {
                return OUT_OF_MEMORY;
            }
        }
    }
    0
}
