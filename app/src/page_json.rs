//! How what a page fetched travels with it to the browser: as JSON, read with the same code as the answers of server functions.
//! (The framework's own codec reads another kind of input, which would put the decoding of every type into the program twice.)

use leptos::{
    prelude::*,
    server::codee::{Decoder, Encoder},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::problem::Problem;

pub struct PageJson;

impl<T: Serialize> Encoder<T> for PageJson {
    type Error = serde_json::Error;
    type Encoded = String;

    fn encode(value: &T) -> Result<String, serde_json::Error> {
        serde_json::to_string(value)
    }
}

impl<T: DeserializeOwned> Decoder<T> for PageJson {
    type Error = serde_json::Error;
    type Encoded = str;

    fn decode(text: &str) -> Result<T, serde_json::Error> {
        serde_json::from_slice(text.as_bytes())
    }
}

/// What a page asks the server for: fetched with the page, and again when `source` changes or it is told to.
pub type Fetched<T> = Resource<Result<T, Problem>, PageJson>;

/// Asks for it.
pub fn fetch<S, T, Answer>(source: impl Fn() -> S + Send + Sync + 'static, ask: impl Fn(S) -> Answer + Send + Sync + 'static) -> Fetched<T>
where
    S: Clone + PartialEq + Send + Sync + 'static,
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
    Answer: Future<Output = Result<T, Problem>> + Send + 'static,
{
    Resource::new_with_options(source, ask, false)
}

/// Reads what a stream of events carries.
pub fn read<T: DeserializeOwned>(data: &str) -> Option<T> {
    serde_json::from_slice(data.as_bytes()).ok()
}
