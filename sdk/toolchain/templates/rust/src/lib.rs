//! __NAME__ makes the letters of texts capitals.
use pappus::{Error, Inputs, Outputs};

pappus::manifest!({
    "name": "__NAME__",
    "description": "Makes the letters of texts capitals.",
    "inputs": ["text"],
    "outputs": ["upper", "stdio"],
    "layout": "grow"
});

pappus::main!(run);

fn run(inputs: &Inputs, outputs: &mut Outputs) -> Result<(), Error> {
    for item in &inputs["text"] {
        outputs["upper"].put_keyed(item.name(), item.key(), item.data().to_ascii_uppercase());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_capitals() {
        let mut outputs = Outputs::of(&["upper"]);
        run(&Inputs::of(&[("text", &[("a", b"to be")])]), &mut outputs).unwrap();
        assert_eq!(outputs["upper"].items()[0].data(), b"TO BE");
    }
}
