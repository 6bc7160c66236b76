//! A function as an ordinary one.
use pappus::{Error, Inputs, Outputs};

fn join(inputs: &Inputs, outputs: &mut Outputs) -> Result<(), Error> {
    let mut all = String::new();
    for item in &inputs["text"] {
        all.push_str(item.text()?);
    }
    let limit: usize = inputs[1].named("most").ok_or("there is no limit")?.text()?.trim().parse()?;
    if all.len() > limit {
        return Err(Error::new(3, format!("{} bytes", all.len())));
    }
    outputs[0].put("joined", all);
    Ok(())
}

pappus::main!(join);

fn given(text: &[u8], most: &[u8]) -> Inputs {
    Inputs::of(&[("text", &[("a", text), ("b", b"!")]), ("settings", &[("most", most)])])
}

#[test]
fn puts() {
    let mut outputs = Outputs::of(&["joined"]);
    join(&given(b"to be", b"9\n"), &mut outputs).unwrap();
    let items = outputs["joined"].items();
    assert_eq!(items.len(), 1);
    assert_eq!((items[0].name(), items[0].key(), items[0].data()), (&b"joined"[..], 0, &b"to be!"[..]));
}

#[test]
fn fails() {
    for (text, most, code, message) in [
        (&b"to be or not"[..], &b"9"[..], 3, "13 bytes"),
        (b"\xff", b"9", 1, "item \"a\" is not UTF-8: invalid utf-8 sequence of 1 bytes from index 0"),
        (b"", b"many", 1, "invalid digit found in string"),
    ] {
        let error = join(&given(text, most), &mut Outputs::of(&["joined"])).unwrap_err();
        assert_eq!((error.code(), error.message()), (code, message));
    }
}

#[test]
fn codes_are_in_range() {
    for (code, want) in [(0, 1), (-1, 1), (255, 255), (256, 1), (259, 1)] {
        assert_eq!(Error::new(code, "").code(), want);
    }
}

#[test]
fn items_have_keys_and_names() {
    let inputs = Inputs::of(&[("a", &[("x", b"1"), ("y", b"2")]), ("b", &[])]);
    let seen: Vec<_> = inputs["a"].iter().map(|item| (item.name(), item.key(), item.data())).collect();
    assert_eq!(seen, [("x", 0, &b"1"[..]), ("y", 1, b"2")]);
    assert!(inputs[1].is_empty() && inputs.named("c").is_none());
    assert_eq!(inputs.sets().len(), 2);
}

#[test]
#[should_panic(expected = "there is no input set \"c\"")]
fn no_such_input() {
    let _ = &Inputs::of(&[])["c"];
}

#[test]
#[should_panic(expected = "there is no output set 1, but 1")]
fn no_such_output() {
    Outputs::of(&["a"])[1].put("a", "");
}
