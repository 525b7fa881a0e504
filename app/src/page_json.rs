//! How what a page fetched travels with it to the browser: as JSON, read with the same code as the answers of server functions.
//! (The framework's own codec reads another kind of input, which would put the decoding of every type into the program twice.)

use std::{
    any::{Any, TypeId},
    sync::{Arc, Mutex, PoisonError},
};

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
    match use_asked() {
        Some(asked) => asked.before_or(source, ask).into(),
        None => Resource::new_with_options(source, ask, false),
    }
}

/// What the content of a page has asked for while the server makes the page. A browser has none.
///
/// The server makes the content twice: once to find out what it asks for, and once for good. Asked for twice, a thing that changes
/// would have two answers, and the browser would go on from the first while the second is on the page: a log would show lines twice.
#[derive(Clone, Default)]
pub struct Asked(Arc<Mutex<Vec<One>>>);

/// Known by the function that asks; where the same one asks several times, it does so in the same order each time.
struct One {
    asks: TypeId,
    taken: bool,
    answer: Box<dyn Any + Send>,
}

fn use_asked() -> Option<Asked> {
    if is_server() { use_context() } else { None }
}

impl Asked {
    /// Before the content is made, for the first time or once more.
    pub fn provide_from_the_start(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter_mut().for_each(|one| one.taken = false);
        provide_context(self.clone());
    }

    fn before_or<S, T, Ask, Answer>(
        &self,
        source: impl Fn() -> S + Send + Sync + 'static,
        ask: Ask,
    ) -> ArcResource<Result<T, Problem>, PageJson>
    where
        S: Clone + PartialEq + Send + Sync + 'static,
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
        Ask: Fn(S) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let asks = TypeId::of::<Ask>();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = all.iter_mut().find(|one| one.asks == asks && !one.taken)
            && let Some(answer) = one.answer.downcast_ref::<ArcResource<Result<T, Problem>, PageJson>>()
        {
            one.taken = true;
            return answer.clone();
        }
        let answer = ArcResource::new_with_options(source, ask, false);
        all.push(One { asks, taken: true, answer: Box::new(answer.clone()) });
        answer
    }
}

/// Reads what a stream of events carries.
pub fn read<T: DeserializeOwned>(data: &str) -> Option<T> {
    serde_json::from_slice(data.as_bytes()).ok()
}
