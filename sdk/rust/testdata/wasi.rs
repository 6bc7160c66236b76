//! A function with files and streams, beside inputs and outputs.
use pappus::{Error, Inputs, Outputs};

pappus::manifest!({
    "name": "wasi",
    "inputs": ["text", "stdio"],
    "outputs": ["upper", "files", "stdio"]
});

pappus::main!(run);

fn run(inputs: &Inputs, outputs: &mut Outputs) -> Result<(), Error> {
    for item in &inputs["text"] {
        println!("{} has {} bytes", item.name(), item.data().len());
        match item.data() {
            b"panic" => panic!("as told"),
            b"fail" => return Err(Error::new(9, "told to fail")),
            _ => outputs["upper"].put_keyed(item.name(), item.key(), item.data().to_ascii_uppercase()),
        }
        std::fs::copy(format!("/text/{}", item.name()), format!("/files/{}", item.name()))?;
    }
    pappus::log!("done");
    Ok(())
}
