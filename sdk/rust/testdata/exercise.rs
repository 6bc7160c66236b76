//! Does to the crate what the tests in Go tell it to (sdk_test.go).
use std::alloc::{alloc, dealloc, realloc, Layout};

use pappus::{Error, Inputs, Outputs};

pappus::manifest!({
    "name": "exercise",
    "inputs": ["steps", "texts"],
    "outputs": ["observed", "copies", "stdio"],
    "layout": "grow"
});

pappus::main!(run);

const SLOTS: usize = 32;

/// A block of the heap, full of bytes that tell which it is.
#[derive(Clone, Copy)]
struct Block {
    at: *mut u8,
    layout: Layout,
    byte: u8,
}

impl Block {
    fn fill(&self, from: usize) {
        for i in from..self.layout.size() {
            // SAFETY: the block is that large.
            unsafe { self.at.add(i).write(self.byte) }
        }
    }

    /// How much of the block is as it was, up to len.
    fn intact(&self, len: usize) -> bool {
        // SAFETY: as above.
        self.at as usize % self.layout.align() == 0 && (0..len).all(|i| unsafe { self.at.add(i).read() } == self.byte)
    }
}

fn run(inputs: &Inputs, outputs: &mut Outputs) -> Result<(), Error> {
    let mut slots: [Option<Block>; SLOTS] = [None; SLOTS];
    let mut observed: Vec<u8> = Vec::new();
    let steps = inputs[0].first().map_or(&[][..], |item| item.data());
    for (n, step) in steps.chunks_exact(16).enumerate() {
        let word = |i: usize| u32::from_le_bytes([step[4 * i], step[4 * i + 1], step[4 * i + 2], step[4 * i + 3]]) as usize;
        let (slot, size) = (word(1), word(2));
        match word(0) {
            // Takes a block in place of the slot's, if it has none.
            0 => {
                let layout = Layout::from_size_align(size, word(3))?;
                // SAFETY: the size is not 0.
                let at = unsafe { alloc(layout) };
                observed.push(u8::from(!at.is_null()));
                if !at.is_null() {
                    let block = Block { at, layout, byte: n as u8 };
                    block.fill(0);
                    slots[slot] = Some(block);
                }
            }
            // Gives it back.
            1 => {
                let block = slots[slot].take().ok_or("an empty slot")?;
                observed.push(u8::from(block.intact(block.layout.size())));
                // SAFETY: it was taken with that layout.
                unsafe { dealloc(block.at, block.layout) }
            }
            // Changes its size.
            2 => {
                let mut block = slots[slot].take().ok_or("an empty slot")?;
                let before = block.layout.size();
                // SAFETY: it was taken with that layout; the size is not 0.
                let at = unsafe { realloc(block.at, block.layout, size) };
                if at.is_null() {
                    observed.push(0);
                } else {
                    block = Block { at, layout: Layout::from_size_align(size, block.layout.align())?, ..block };
                    observed.push(1 + u8::from(block.intact(before.min(size))));
                    block.fill(before.min(size));
                }
                slots[slot] = Some(block);
            }
            3 => panic!("as told, {}", slot),
            4 => Err(Error::new(slot as i32, "told to fail"))?,
            5 => drop(vec![1u8; size]),
            6 => {
                let mut vector: Vec<u8> = Vec::new();
                observed.push(u8::from(vector.try_reserve(size).is_ok()));
            }
            7 => pappus::log!("line {}", slot),
            8 => drop(&inputs[slot]),
            9 => outputs[slot].put("a", "b"),
            10 => drop(inputs[1][slot].text()?),
            _ => return Err("no such step".into()),
        }
    }
    let whole = slots.iter().flatten().all(|block| block.intact(block.layout.size()));
    observed.push(u8::from(whole));
    outputs["observed"].put("observed", observed);
    for item in &inputs["texts"] {
        outputs["copies"].put_keyed(item.name(), item.key(), item.data());
    }
    Ok(())
}
