//! The judge of a group of candidates as a task of their run.

use domain::{
    Task, Work,
    task::Group,
    workflow::{CANDIDATES_INPUT, JUDGE, JudgeTask},
};
use serde_json::Value;

use super::{
    instantiate::{self, Members, Planting, Refused, TASKS_MAX},
    store,
};
use crate::{Result, repository::Repositories, tx::Tx};

/// The task that is to choose among these candidates; or why there can be none.
pub(crate) async fn judge_of(
    tx: &mut Tx,
    group: &Task,
    judge: &JudgeTask,
    candidates: Value,
) -> Result<std::result::Result<Members, Refused>> {
    let (Some(place), Work::Group(Group::Candidates { step })) = (store::place(tx, group.id).await?, &group.work) else {
        return Ok(Err(Refused::Impossible("it is no step of a run".into())));
    };
    if let Some(by) = place.cancelled_by {
        return Ok(Err(Refused::Cancelled(by)));
    }
    if place.tasks >= TASKS_MAX {
        return Ok(Err(Refused::Impossible(format!("its run would have more than {TASKS_MAX} tasks"))));
    }
    let step = judge.step(step);
    let mut inputs = group.inputs.clone();
    inputs.insert(CANDIDATES_INPUT.into(), candidates);
    let planting = Planting {
        step: &step,
        key: format!("{}[{JUDGE}]", place.key),
        group_key: Some(place.key.clone()),
        work: instantiate::single_work(&step),
        inputs,
        label: None,
        waits: vec![],
        condition: None,
        delay_seconds: None,
    };
    let common = instantiate::common_of(group, &place);
    let (seed, row) = instantiate::task(tx, &common, planting, &mut Repositories::default()).await?;
    Ok(Ok(Members { run: place.run, seeds: vec![seed], steps: vec![row] }))
}
