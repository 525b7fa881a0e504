//! What was typed into the form of a model's prices.

use domain::{
    Invalid,
    error::Errors,
    price::{SetModelPrice, micros_of},
};

/// What was typed into the form, in micro-dollars; each field that is no amount is named.
pub fn read(input: &str, output: &str, cache_read: &str, cache_write: &str) -> Result<SetModelPrice, Invalid> {
    let mut errors = Errors::default();
    let mut read = |pointer: &str, dollars: &str| {
        micros_of(dollars).unwrap_or_else(|message| {
            errors.add(pointer, "malformed", message);
            0
        })
    };
    let (input_micros, output_micros) = (read("/input_micros", input), read("/output_micros", output));
    let is_said = |dollars: &&str| !dollars.trim().is_empty();
    let cache_read_micros = Some(cache_read).filter(is_said).map(|dollars| read("/cache_read_micros", dollars));
    let cache_write_micros = Some(cache_write).filter(is_said).map(|dollars| read("/cache_write_micros", dollars));
    errors.finish()?;
    Ok(SetModelPrice { input_micros, output_micros, cache_read_micros, cache_write_micros })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_dollars_and_what_is_left_empty_is_not_said() {
        let set = read(" 3 ", "$15", "0.3", " ").unwrap();
        assert_eq!((set.input_micros, set.output_micros), (3_000_000, 15_000_000));
        assert_eq!((set.cache_read_micros, set.cache_write_micros), (Some(300_000), None));
        let pointers: Vec<_> = read("", "1e3", "", "-1").unwrap_err().errors.into_iter().map(|error| error.pointer).collect();
        assert_eq!(pointers, ["/input_micros", "/output_micros", "/cache_write_micros"]);
    }
}
