//! matmul in Rust: multiplies matrices by their transposes. It takes and gives what
//! ../../matmul does.
//!
//! Exit code 1: an item is not such a matrix.
use pappus::{Error, Inputs, Outputs};

pappus::manifest!({
    "name": "matmul",
    "description": "Multiplies each matrix of 64-bit integers by its transpose.",
    "inputs": ["matrices"],
    "outputs": ["products"],
    "layout": "grow"
});

pappus::main!(run);

fn run(inputs: &Inputs, outputs: &mut Outputs) -> Result<(), Error> {
    for item in &inputs["matrices"] {
        let product = times_transpose(item.data()).ok_or("it is not a matrix")?;
        outputs["products"].put_keyed(item.name(), item.key(), product);
    }
    Ok(())
}

fn times_transpose(item: &[u8]) -> Option<Vec<u8>> {
    let numbers: Vec<u64> = item.chunks_exact(8).map(|b| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])).collect();
    let (&rows, matrix) = numbers.split_first()?;
    if item.len() % 8 != 0 || rows == 0 || rows > matrix.len() as u64 || matrix.len() as u64 % rows != 0 {
        return None;
    }
    let mut product = Vec::new();
    product.extend_from_slice(&rows.to_le_bytes());
    let columns = matrix.len() / rows as usize;
    for row in matrix.chunks_exact(columns) {
        for column in matrix.chunks_exact(columns) {
            product.extend_from_slice(&dot(row, column).to_le_bytes());
        }
    }
    Some(product)
}

fn dot(a: &[u64], b: &[u64]) -> u64 {
    a.iter().zip(b).fold(0, |sum, (a, b)| sum.wrapping_add(a.wrapping_mul(*b)))
}
