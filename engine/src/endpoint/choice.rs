//! Where an attempt's model is: decided once it is known who carries the attempt out, and kept with it, with the reasons. Where it is nowhere,
//! though there are endpoints, that is kept as well.

use std::collections::BTreeMap;

use domain::{
    Actor, AttemptId, AttemptKey, Backend, Endpoint, EndpointId, Failure, Permission, Work, WorkspaceId,
    attempt::{AttemptEndpoint, NoEndpoint},
    endpoint::{Candidate, EndpointChoice, ModelFormat, NewPull, address::is_local, choose, names_of},
    protocol::{AssignedEndpoint, Assignment},
};
use serde::Serialize;
use sqlx::{PgConnection, types::Json};
use tracing::warn;
use uuid::Uuid;

use super::{
    missing::{Missing, Then, forget_waiting},
    shared,
    store::{self, Asked},
};
use crate::{Engine, Result, RunnerSession};

/// What was chosen for an attempt, as the row of the attempt has it. Its names are those of the columns.
#[derive(Serialize)]
struct Chosen {
    id: AttemptId,
    endpoint_id: Option<EndpointId>,
    endpoint_model: String,
    endpoint_reasons: Vec<String>,
}

/// What does not begin, although it was given out.
#[derive(Default)]
struct PutOff {
    /// Until their models are pulled.
    waits: Vec<AttemptKey>,
    ends: Vec<(AttemptKey, Failure)>,
}

impl PutOff {
    /// With what its attempt keeps, when there is anything to say.
    fn take(&mut self, missing: Missing, then: Then) -> Option<Chosen> {
        let Missing { key, model: endpoint_model, reasons: mut endpoint_reasons, .. } = missing;
        match then {
            Then::Begins => {}
            Then::Waits(why) => {
                endpoint_reasons.push(why);
                self.waits.push(key);
            }
            Then::Ends(failure) => self.ends.push((key, failure)),
        }
        (!endpoint_reasons.is_empty()).then_some(Chosen { id: key.attempt_id, endpoint_id: None, endpoint_model, endpoint_reasons })
    }

    fn keys(&self) -> Vec<AttemptKey> {
        self.waits.iter().chain(self.ends.iter().map(|(key, _)| key)).copied().collect()
    }
}

impl Engine {
    /// Which endpoint would be chosen for a model now, and why not the others.
    pub async fn choose_endpoint(&self, actor: &Actor, model: String) -> Result<EndpointChoice> {
        actor.may(Permission::ReadTasks)?;
        // it is told as it was asked for
        let model = model.trim().to_owned();
        NewPull { model: model.clone() }.validated()?;
        // as where the choice is made: attempts of all workspaces count at what serves several
        let now = self.clock.now(&self.database).await?;
        let mut conn = self.database.system.acquire().await?;
        let endpoints = store::list(&mut conn, now, None, Some(actor.workspace_id), &names_of(&model)).await?;
        let candidates: Vec<_> = endpoints.iter().map(|asked| candidate(asked, &model)).collect();
        Ok(choose(&model, &[], &candidates))
    }

    /// Chooses for those of these that name a model that an endpoint has. What cannot be chosen for begins as its runner's settings say, or
    /// is not among these any more: it waits until its model is pulled, or has ended as that failed.
    pub(crate) async fn choose_endpoints(&self, claimed: &mut Vec<(RunnerSession, Assignment)>) {
        if claimed.iter().all(|one| wish(one).is_none()) {
            return;
        }
        match self.choose_for(claimed).await {
            Ok(put_off) => claimed.retain(|(_, assignment)| !put_off.contains(&assignment.attempt)),
            Err(error) => warn!("No endpoint could be chosen for what was given out now: {error}"),
        }
    }

    /// The endpoints of a workspace are read once for all of its attempts. Each that is given out counts for the next. Says which are not to
    /// begin.
    async fn choose_for(&self, claimed: &mut [(RunnerSession, Assignment)]) -> Result<Vec<AttemptKey>> {
        let now = self.clock.now(&self.database).await?;
        let mut conn = self.database.system.acquire().await?;
        let mut places: BTreeMap<(Uuid, bool), Vec<usize>> = BTreeMap::new();
        for (place, workspace, auto_pull) in workspaces(&mut conn, claimed).await? {
            places.entry((workspace.0, auto_pull)).or_default().push(place);
        }
        let may_share = places.keys().any(|(_, auto_pull)| *auto_pull) && self.may_pull_where_all_are_served(&mut conn).await?;
        let (mut rows, mut assigned, mut missing, mut given) = (vec![], vec![], vec![], vec![]);
        for ((workspace, auto_pull), places) in places {
            let mut missing_here = vec![];
            let models = places.iter().filter_map(|place| wish(&claimed[*place])).flat_map(|wish| names_of(wish.model)).collect::<Vec<_>>();
            let mut endpoints = store::list(&mut conn, now, None, Some(WorkspaceId(workspace)), &models).await?;
            // what was given out to another workspace in this moment is not kept yet
            given.iter().for_each(|chosen| count_for_all(&mut endpoints, chosen, 1));
            for place in places {
                let (runner, assignment) = &claimed[place];
                let Some(Wish { model, formats, is_pulled }) = wish(&claimed[place]) else { continue };
                let within_reach = endpoints.iter().filter(|asked| is_within_reach(runner, &asked.endpoint));
                let choice = choose(model, &formats, &within_reach.map(|asked| candidate(asked, model)).collect::<Vec<_>>());
                let (id, endpoint_model) = (assignment.attempt.attempt_id, model.to_owned());
                let Some(best) = choice.best() else {
                    if !is_pulled {
                        let endpoint_reasons = choice.why_not();
                        let why =
                            (!endpoint_reasons.is_empty()).then_some(Chosen { id, endpoint_id: None, endpoint_model, endpoint_reasons });
                        rows.extend(why);
                        continue;
                    }
                    let is_refused = |id: EndpointId| {
                        !may_share && endpoints.iter().any(|one| one.endpoint.id == id && shared::is_everybodys(&one.endpoint))
                    };
                    let (not_there, lacking): (Vec<_>, Vec<_>) = choice.lacking().partition(|one| is_refused(one.id));
                    let lacking: Vec<_> = lacking.into_iter().map(|one| (one.id, one.name.clone())).collect();
                    let reached = choice.considered.iter().map(|one| one.id).collect();
                    let (key, mut reasons) = (assignment.attempt, choice.why_none());
                    if auto_pull && lacking.is_empty() {
                        reasons.extend(not_there.first().map(|one| shared::refused(&one.name)));
                    }
                    missing_here.push(Missing { key, model: endpoint_model, reached, lacking, reasons });
                    continue;
                };
                let chosen = endpoints.iter().map(|one| &one.endpoint).find(|endpoint| endpoint.id == best.id).cloned();
                let Some(chosen) = chosen else { continue };
                rows.push(Chosen { id, endpoint_id: Some(best.id), endpoint_model, endpoint_reasons: best.reasons.clone() });
                let formats = chosen.formats();
                assigned.push((place, AssignedEndpoint { id: best.id, name: best.name.clone(), url: best.url.clone(), formats }));
                count_for_all(&mut endpoints, &chosen, 0);
                given.push(chosen);
            }
            missing.push((WorkspaceId(workspace), auto_pull, missing_here));
        }
        drop(conn);
        let mut put_off = PutOff::default();
        for (workspace, auto_pull, missing) in missing {
            let then = self.what_then(workspace, auto_pull, &missing).await;
            rows.extend(missing.into_iter().zip(then).filter_map(|(missing, then)| put_off.take(missing, then)));
        }
        let not_begun = put_off.keys();
        let asking = claimed.iter().filter(|one| wish(one).is_some());
        let begins: Vec<_> =
            asking.map(|(_, assignment)| assignment.attempt).filter(|key| !not_begun.contains(key)).map(|key| key.task_id).collect();
        let mut conn = self.database.system.acquire().await?;
        forget_waiting(&mut conn, &begins).await?;
        let kept = keep(&mut conn, &rows).await?;
        drop(conn);
        for (place, endpoint) in assigned {
            // it may have been taken away meanwhile
            let assignment = &mut claimed[place].1;
            assignment.endpoint = kept.contains(&assignment.attempt.attempt_id).then_some(endpoint);
        }
        self.put_off(put_off).await;
        Ok(not_begun)
    }

    /// What becomes of these, in their order.
    async fn what_then(&self, workspace: WorkspaceId, auto_pull: bool, missing: &[Missing]) -> Vec<Then> {
        let all_begin = || -> Vec<Then> { missing.iter().map(|_| Then::Begins).collect() };
        if !auto_pull || missing.is_empty() {
            return all_begin();
        }
        self.pull_what_is_missing(workspace, missing).await.unwrap_or_else(|error| {
            warn!("What tasks ask for could not be pulled by itself, and they begin without it: {error}");
            all_begin()
        })
    }

    /// What could not be put off is not given out all the same: it comes back with the end of its lease, and is put off then.
    async fn put_off(&self, PutOff { waits, ends }: PutOff) {
        if let Err(error) = self.models_come_first(&waits).await {
            warn!("{} tasks that wait for their models could not be put back into the queue: {error}", waits.len());
        }
        for (key, failure) in ends {
            if let Err(error) = self.attempt_impossible(key, failure).await {
                warn!(task.id = %key.task_id, "Task {} could not be ended: {error}", key.task_id);
            }
        }
    }
}

/// Of those of these that name a model that may be at an endpoint, each with whether what is missing is pulled by itself.
async fn workspaces(conn: &mut PgConnection, claimed: &[(RunnerSession, Assignment)]) -> Result<Vec<(usize, WorkspaceId, bool)>> {
    let asking = claimed.iter().enumerate().filter(|(_, one)| wish(one).is_some());
    let places: BTreeMap<Uuid, usize> = asking.map(|(place, (_, assignment))| (assignment.attempt.attempt_id.0, place)).collect();
    let ids: Vec<_> = places.keys().copied().collect();
    let rows = sqlx::query!(
        r#"select attempt.id as "id: Uuid", workspace_id as "workspace_id: WorkspaceId", auto_pull
           from attempt join workspace on workspace.id = workspace_id where attempt.id = any($1) and state = 'claimed'"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    let mut found: Vec<_> = rows.into_iter().filter_map(|row| Some((*places.get(&row.id)?, row.workspace_id, row.auto_pull))).collect();
    // the first in the queue first
    found.sort_by_key(|(place, ..)| *place);
    Ok(found)
}

/// Those of them that are still to begin.
async fn keep(conn: &mut PgConnection, rows: &[Chosen]) -> Result<Vec<AttemptId>> {
    if rows.is_empty() {
        return Ok(vec![]);
    }
    let kept = sqlx::query_scalar!(
        r#"update attempt set endpoint_id = chosen.endpoint_id, endpoint_model = chosen.endpoint_model, endpoint_reasons = chosen.endpoint_reasons
           from jsonb_to_recordset($1) as chosen (id uuid, endpoint_id uuid, endpoint_model text, endpoint_reasons text[])
           where attempt.id = chosen.id and state = 'claimed' returning attempt.id as "id: AttemptId""#,
        Json(rows) as _
    )
    .fetch_all(conn)
    .await?;
    Ok(kept)
}

fn candidate(Asked { endpoint, models, of_others }: &Asked, model: &str) -> Candidate {
    let found = models.iter().filter(|one| one.is_called(model));
    // under two names it is the same, and may be listed twice
    Candidate { endpoint: endpoint.clone(), model: found.min_by_key(|one| one.state).cloned(), of_others: *of_others }
}

/// One more works there, under whichever name it is known; so many of that are another workspace's.
fn count_for_all(endpoints: &mut [Asked], chosen: &Endpoint, of_others: i64) {
    for one in endpoints.iter_mut().filter(|one| one.endpoint.is_beside(chosen)) {
        one.endpoint.attempts += 1;
        one.of_others += of_others;
    }
}

/// What an attempt asks of the endpoints.
struct Wish<'a> {
    model: &'a str,
    /// In which formats its agent speaks, or those that may be given it where none is named: its runner takes one that the endpoint understands.
    formats: Vec<ModelFormat>,
    /// Where no endpoint has the model, one is missed. That of another agent than OpenCode is elsewhere then: its usual ones no Ollama could pull.
    is_pulled: bool,
}

/// Nothing of what names no model, nor of whose agent could not be told of an endpoint.
fn wish((runner, assignment): &(RunnerSession, Assignment)) -> Option<Wish<'_>> {
    let Work::Prompt(_) = assignment.work else { return None };
    let model = assignment.agent.model.as_deref()?;
    let formats = runner.endpoint_formats(&assignment.agent);
    let is_pulled = assignment.agent.backend == Some(Backend::OpenCode);
    (!formats.is_empty()).then_some(Wish { model, formats, is_pulled })
}

/// What a runner has found is for its own machine; what is registered is for all, unless it is the server's.
fn is_within_reach(runner: &RunnerSession, endpoint: &Endpoint) -> bool {
    match endpoint.runner_id {
        Some(found_by) => found_by == runner.id(),
        None => !runner.is_far() || !is_local(&endpoint.url),
    }
}

/// The columns of an attempt, with its endpoint's.
pub(crate) struct AttemptRow {
    pub id: Option<EndpointId>,
    pub name: Option<String>,
    pub url: Option<String>,
    pub model: Option<String>,
    pub reasons: Option<Vec<String>>,
}

/// For whoever reads an attempt: where its model was, or why it was nowhere.
pub(crate) fn told(row: AttemptRow) -> (Option<AttemptEndpoint>, Option<NoEndpoint>) {
    let AttemptRow { id, name, url, model, reasons } = row;
    let reasons = reasons.unwrap_or_default();
    match (id, name, url, model) {
        (Some(id), Some(name), Some(url), _) => (Some(AttemptEndpoint { id, name, url, reasons }), None),
        (None, _, _, Some(model)) => (None, Some(NoEndpoint { model, reasons })),
        _ => (None, None),
    }
}
