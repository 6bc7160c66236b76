//! sumoccurrence in Rust: counts how often a pattern occurs in log files. It takes
//! and gives what ../../sumoccurrence does.
//!
//! Exit code 1: the pattern is missing or empty.
use pappus::{Error, Inputs, Outputs};

pappus::manifest!({
    "name": "sumoccurrence",
    "description": "Counts the occurrences of a pattern in log files.",
    "inputs": ["logs", {"name": "pattern", "type": "item"}],
    "outputs": [{"name": "counts", "type": "item", "content_type": "text/plain; charset=utf-8"}],
    "layout": "grow"
});

pappus::main!(run);

fn run(inputs: &Inputs, outputs: &mut Outputs) -> Result<(), Error> {
    let pattern = inputs["pattern"].first().map_or(&[][..], |item| without_line_end(item.data()));
    if pattern.is_empty() {
        return Err("there is no pattern".into());
    }
    let search = Search::new(pattern);
    let sum: u64 = inputs["logs"].iter().map(|log| search.count(log.data())).sum();
    outputs["counts"].put("counts", format!("{}\n", sum));
    Ok(())
}

fn without_line_end(pattern: &[u8]) -> &[u8] {
    match pattern {
        [pattern @ .., b'\r', b'\n'] | [pattern @ .., b'\n'] => pattern,
        _ => pattern,
    }
}

/// Horspool's search: most positions are skipped without being looked at.
struct Search<'a> {
    pattern: &'a [u8],
    shift: [usize; 256], // how far the window moves, by the last byte in it
}

impl<'a> Search<'a> {
    fn new(pattern: &'a [u8]) -> Search<'a> {
        let last = pattern.len() - 1;
        let mut shift = [pattern.len(); 256];
        for (i, &byte) in pattern[..last].iter().enumerate() {
            shift[usize::from(byte)] = last - i;
        }
        Search { pattern, shift }
    }

    fn count(&self, mut text: &[u8]) -> u64 {
        let mut found = 0;
        while let Some(window) = text.get(..self.pattern.len()) {
            let step = if window == self.pattern {
                found += 1;
                window.len()
            } else {
                self.shift[usize::from(window[window.len() - 1])]
            };
            text = text.get(step..).unwrap_or(&[]);
        }
        found
    }
}
