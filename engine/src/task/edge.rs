//! How an edge stands: whether a task ended as another needs it, and what it gives to that one.

use std::collections::BTreeMap;

use domain::{
    Task, TaskId, TaskStateName,
    task::{Broken, Dependency, Inputs, On, Standing},
};
use serde_json::Value;

use super::store;
use crate::{Result, expression, tx::Tx};

/// A task that others wait for, as far as they need it.
#[derive(Clone, Debug)]
pub(crate) struct Parent {
    pub id: TaskId,
    pub title: String,
    pub state: TaskStateName,
    /// Read once, when an edge asks for it.
    result: Option<Value>,
}

/// What an edge comes to.
pub(crate) struct Asked {
    pub standing: Standing,
    /// What it gives to the task that waits.
    pub inputs: Inputs,
    /// Why a condition could not be asked.
    pub trouble: Option<String>,
}

impl Parent {
    pub fn new(id: TaskId, title: String, state: TaskStateName) -> Self {
        Self { id, title, state, result: None }
    }

    pub fn of(task: &Task) -> Self {
        Self::new(task.id, task.title.clone(), task.state.name())
    }

    /// As the task that waits for it in vain sees it.
    pub fn broken(&self, dependency: &Dependency, trouble: Option<String>) -> Broken {
        let condition = match &dependency.on {
            On::Condition(text) => Some(trouble.map_or_else(|| text.clone(), |trouble| format!("{text}: {trouble}"))),
            On::Success | On::End => None,
        };
        Broken { condition, ..Broken::new(self.id, &self.title, self.state) }
    }

    async fn result(&mut self, tx: &mut Tx) -> Result<Value> {
        if let Some(result) = &self.result {
            return Ok(result.clone());
        }
        let result = store::result(tx, self.id).await?;
        self.result = Some(result.clone());
        Ok(result)
    }
}

/// Asks an edge of a parent whose row is locked.
pub(crate) async fn ask(tx: &mut Tx, parent: &mut Parent, dependency: &Dependency) -> Result<Asked> {
    let mut trouble = None;
    let standing = match (dependency.on.standing(parent.state), &dependency.on) {
        (Some(standing), _) => standing,
        (None, On::Condition(text)) => match expression::is_true(text, "result", parent.result(tx).await?).await {
            Ok(true) => Standing::Satisfied,
            Ok(false) => Standing::Failed,
            Err(why) => {
                trouble = Some(why);
                Standing::Failed
            }
        },
        (None, On::Success | On::End) => Standing::Waiting,
    };
    let mut inputs = BTreeMap::new();
    if standing == Standing::Satisfied && !dependency.feeds.is_empty() {
        let result = parent.result(tx).await?;
        for (name, pointer) in &dependency.feeds {
            inputs.insert(name.clone(), result.pointer(pointer).cloned().unwrap_or(Value::Null));
        }
    }
    Ok(Asked { standing, inputs, trouble })
}
