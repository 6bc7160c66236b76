/// The function's manifest: JSON, without quotes around it, or a constant text.
/// It becomes the custom section `pappus` of the module. Once in a program.
///
/// ```
/// pappus::manifest!({
///     "name": "count",
///     "inputs": ["logs", {"name": "pattern", "type": "item"}],
///     "outputs": ["counts"],
///     "layout": "grow"
/// });
/// ```
#[macro_export]
macro_rules! manifest {
    ({ $($json:tt)* }) => { $crate::manifest!(::core::stringify!({ $($json)* })); };
    ($json:expr) => {
        const _: () = {
            const TEXT: &[u8] = {
                let text: &str = $json;
                text.as_bytes()
            };
            #[cfg_attr(target_arch = "wasm32", link_section = "pappus")]
            #[used]
            static MANIFEST: [u8; TEXT.len()] = {
                let mut bytes = [0; TEXT.len()];
                let mut i = 0;
                while i < bytes.len() {
                    bytes[i] = TEXT[i];
                    i += 1;
                }
                bytes
            };
        };
    };
}
