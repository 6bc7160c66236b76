//! A function without the standard library.
#![no_std]

extern crate alloc;

use alloc::vec;
use pappus::{Error, Inputs, Outputs};

pappus::manifest!({
    "name": "upper",
    "inputs": ["text"],
    "outputs": ["upper", "stdio"],
    "layout": "grow"
});

pappus::main!(run);

fn run(inputs: &Inputs, outputs: &mut Outputs) -> Result<(), Error> {
    for item in &inputs["text"] {
        match item.name() {
            "panic" => panic!("as told"),
            "memory" => outputs[0].put("", vec![1; 100 << 20]),
            _ => outputs[0].put_keyed(item.name(), item.key(), item.data().to_ascii_uppercase()),
        }
    }
    Ok(())
}
