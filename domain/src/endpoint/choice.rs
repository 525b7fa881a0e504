//! Which endpoint a model is asked at: the one that has it loaded, then the one with the least to do. What is unhealthy, or was not looked at
//! lately, is never chosen, however good it was; nor is what a runner merely found, which may be any program that listens there, or what is too old
//! to understand whoever would ask it.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::{Endpoint, EndpointHealth, EndpointModel, ModelFormat, ModelState};
use crate::{EndpointId, runner::reading::bytes};

/// How busy a machine counts that nobody knows anything of.
const UNKNOWN_BUSY: u32 = 50;
/// How much one attempt adds to how busy a machine counts: readings show what it does only later, and not of every machine.
const OF_AN_ATTEMPT: u32 = 25;

/// Reasons that are kept of why there is none.
const WHY_NONE: usize = 5;

/// An endpoint, with the model that is asked for as it has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub endpoint: Endpoint,
    /// Absent when it does not have it.
    pub model: Option<EndpointModel>,
    /// Of the attempts that work there, those of other workspaces. They count, and how many they are is not told.
    pub of_others: i64,
}

/// Which endpoint is chosen for a model, and why not the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EndpointChoice {
    pub model: String,
    /// Absent when there is none that can be asked.
    pub chosen: Option<EndpointId>,
    /// The best first; after them those that cannot be asked.
    pub considered: Vec<Considered>,
}

/// An endpoint as it stands for a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Considered {
    pub id: EndpointId,
    pub name: String,
    pub url: String,
    /// Whether it can be asked at all.
    pub fits: bool,
    /// How the model is there; absent when it is not.
    pub state: Option<ModelState>,
    /// It could be asked if it had the model: it may pull it.
    pub lacks_the_model: bool,
    /// How much there is to do: the less, the better among those that have it loaded, and among those that do not. What other workspaces have to do
    /// there counts too, and is not told.
    pub load: u32,
    /// In words.
    pub reasons: Vec<String>,
}

impl EndpointChoice {
    /// What was chosen.
    pub fn best(&self) -> Option<&Considered> {
        self.considered.first().filter(|one| one.fits)
    }

    /// Those that could be asked if they had the model, the best first.
    pub fn lacking(&self) -> impl Iterator<Item = &Considered> {
        self.considered.iter().filter(|one| one.lacks_the_model)
    }

    /// Why nothing was chosen, where there is something that has the model.
    pub fn why_not(&self) -> Vec<String> {
        if self.best().is_some() {
            return vec![];
        }
        let have_it = self.considered.iter().filter(|one| one.state.is_some());
        have_it.take(WHY_NONE).map(|one| format!("{}: {}", one.name, one.reasons.join("; "))).collect()
    }

    /// The same where there is something that could have it as well. Where there is not, no endpoint is missed.
    pub fn why_none(&self) -> Vec<String> {
        let why_not = self.why_not();
        if why_not.is_empty() && self.best().is_none() && self.lacking().next().is_some() {
            return vec![format!("no endpoint has {}", self.model)];
        }
        why_not
    }
}

/// They are as they are now. Who asks speaks one of these formats; where none is named, nobody knows who will.
pub fn choose(model: &str, formats: &[ModelFormat], candidates: &[Candidate]) -> EndpointChoice {
    let mut considered: Vec<_> = candidates.iter().map(|candidate| (rank(candidate, formats), consider(candidate, formats))).collect();
    considered.sort_by_key(|(rank, _)| *rank);
    let considered: Vec<_> = considered.into_iter().map(|(_, one)| one).collect();
    let chosen = considered.first().filter(|one| one.fits).map(|one| one.id);
    EndpointChoice { model: model.to_owned(), chosen, considered }
}

/// The lower, the better: whether it fits, whether it is warm, how much there is to do, and how fresh that is. Where all is equal, the order
/// in which they came to be known, so that the same question has the same answer.
type Rank = (bool, bool, u32, Reverse<Option<i64>>, EndpointId);

fn rank(candidate: &Candidate, formats: &[ModelFormat]) -> Rank {
    let Candidate { endpoint, model, .. } = candidate;
    let is_warm = model.as_ref().is_some_and(|model| model.state == ModelState::Warm);
    let looked = endpoint.checked_at.map(|at| at.timestamp());
    (!fits(candidate, formats), !is_warm, load(endpoint, endpoint.attempts), Reverse(looked), endpoint.id)
}

fn fits(candidate: &Candidate, formats: &[ModelFormat]) -> bool {
    may_be_asked(&candidate.endpoint, formats) && candidate.model.is_some()
}

fn may_be_asked(endpoint: &Endpoint, formats: &[ModelFormat]) -> bool {
    endpoint.health == EndpointHealth::Healthy && endpoint.is_confirmed && not_spoken(endpoint, formats).is_empty()
}

/// Why it understands none of these; nothing when it understands one.
fn not_spoken(endpoint: &Endpoint, formats: &[ModelFormat]) -> Vec<String> {
    let why: Vec<_> = formats.iter().filter_map(|format| format.not_spoken_by(endpoint.version.as_deref())).collect();
    if why.len() < formats.len() { vec![] } else { why }
}

fn load(endpoint: &Endpoint, attempts: i64) -> u32 {
    let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
    endpoint.busy_percent.unwrap_or(UNKNOWN_BUSY).saturating_add(attempts.saturating_mul(OF_AN_ATTEMPT))
}

fn consider(candidate: &Candidate, formats: &[ModelFormat]) -> Considered {
    let Candidate { endpoint, model, .. } = candidate;
    let mut reasons = vec![];
    if !endpoint.is_confirmed {
        reasons.push(format!("it was found, not confirmed: {}", endpoint.how_to_confirm()));
    }
    match endpoint.health {
        EndpointHealth::Healthy => {}
        EndpointHealth::Unknown => reasons.push("nobody has looked at it yet".to_owned()),
        EndpointHealth::Stale => reasons.push("nobody has looked at it lately".to_owned()),
        EndpointHealth::Unhealthy => {
            reasons.push(format!("it does not answer: {}", endpoint.why.as_deref().unwrap_or("it does not say why")));
        }
    }
    reasons.extend(not_spoken(endpoint, formats));
    match model {
        None => reasons.push("it does not have the model".to_owned()),
        Some(model) if model.state == ModelState::Warm => reasons.push("it has the model loaded".to_owned()),
        Some(model) => reasons.push(format!("it has to load the model first, {}", bytes(model.size))),
    }
    if fits(candidate, formats) {
        reasons.push(load_in_words(candidate));
    }
    Considered {
        id: endpoint.id,
        name: endpoint.name.clone(),
        url: endpoint.url.clone(),
        fits: fits(candidate, formats),
        state: model.as_ref().map(|model| model.state),
        lacks_the_model: may_be_asked(endpoint, formats) && model.is_none(),
        load: load(endpoint, own_attempts(candidate)),
        reasons,
    }
}

fn own_attempts(candidate: &Candidate) -> i64 {
    candidate.endpoint.attempts.saturating_sub(candidate.of_others)
}

/// `load 35: its machine is 10 % busy, 1 attempt works there`
fn load_in_words(candidate: &Candidate) -> String {
    let (endpoint, attempts) = (&candidate.endpoint, own_attempts(candidate));
    let machine = match endpoint.busy_percent {
        Some(percent) => format!("its machine is {percent} % busy"),
        None => format!("how busy its machine is nobody knows, which counts as {UNKNOWN_BUSY} %"),
    };
    let working = match attempts {
        0 => "no attempt works there".to_owned(),
        1 => "1 attempt works there".to_owned(),
        many => format!("{many} attempts work there"),
    };
    let others = if candidate.of_others > 0 { ", beside what other workspaces do" } else { "" };
    format!("load {}: {machine}, {working}{others}", load(endpoint, attempts))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use uuid::Uuid;

    use super::*;
    use crate::endpoint::EndpointModel;

    fn candidate(number: u128, state: ModelState, busy_percent: Option<u32>) -> Candidate {
        let model = EndpointModel { name: "llama3:latest".into(), state, size: 1 << 30, quantization: None, parameters: None, vram: None };
        let endpoint = Endpoint {
            id: EndpointId(Uuid::from_u128(number)),
            name: format!("box {number}"),
            url: format!("http://box-{number}:11434"),
            runner_id: None,
            machine_of: None,
            registered_by: Some("Ada".into()),
            created_at: DateTime::UNIX_EPOCH,
            is_confirmed: true,
            is_shared: false,
            health: EndpointHealth::Healthy,
            why: None,
            unhealthy_since: None,
            checked_at: Some(DateTime::UNIX_EPOCH),
            version: None,
            model_count: 1,
            warm_count: 0,
            attempts: 0,
            busy_percent,
        };
        Candidate { endpoint, model: Some(model), of_others: 0 }
    }

    fn order(candidates: &[Candidate]) -> Vec<u128> {
        choose("llama3", &[], candidates).considered.iter().filter(|one| one.fits).map(|one| one.id.0.as_u128()).collect()
    }

    use ModelState::{Cold, Warm};

    #[test]
    fn who_has_it_loaded_comes_first_then_who_has_the_least_to_do() {
        let all = [candidate(1, Cold, Some(0)), candidate(2, Warm, Some(90)), candidate(3, Warm, Some(10)), candidate(4, Cold, Some(5))];
        assert_eq!(order(&all), [3, 2, 1, 4]);
        let choice = choose("llama3", &[], &all);
        assert_eq!(choice.chosen, Some(all[2].endpoint.id));
        let told = &choice.best().unwrap().reasons;
        assert_eq!(told[..], ["it has the model loaded", "load 10: its machine is 10 % busy, no attempt works there"]);
        assert_eq!(choice.considered[2].reasons[0], "it has to load the model first, 1.0 GiB");
    }

    #[test]
    fn what_does_not_answer_or_was_not_looked_at_is_never_chosen() {
        let of = |health| {
            let Candidate { endpoint, model, of_others } = candidate(1, Warm, Some(0));
            Candidate { endpoint: Endpoint { health, why: Some("refused".into()), ..endpoint }, model, of_others }
        };
        let mut worse = candidate(2, Cold, Some(100));
        worse.endpoint.attempts = 100;
        for health in [EndpointHealth::Unhealthy, EndpointHealth::Stale, EndpointHealth::Unknown] {
            let choice = choose("llama3", &[], &[of(health), worse.clone()]);
            assert_eq!(choice.chosen, Some(worse.endpoint.id), "{health:?}");
            assert!(!choice.considered[1].fits);
        }
        let alone = choose("llama3", &[], &[of(EndpointHealth::Unhealthy)]);
        assert_eq!((alone.chosen, alone.best()), (None, None));
        assert_eq!(alone.considered[0].reasons, ["it does not answer: refused", "it has the model loaded"]);
        assert_eq!(alone.why_none(), ["box 1: it does not answer: refused; it has the model loaded"]);
        assert_eq!(choose("other", &[], &[]).considered, []);
    }

    #[test]
    fn where_it_could_be_and_is_not_that_is_said() {
        let without = |is_confirmed, health| {
            let Candidate { endpoint, of_others, .. } = candidate(1, Warm, None);
            Candidate { endpoint: Endpoint { is_confirmed, health, ..endpoint }, model: None, of_others }
        };
        let lacking = choose("other", &[], &[without(true, EndpointHealth::Healthy)]);
        assert_eq!(lacking.considered[0].reasons, ["it does not have the model"]);
        assert!(lacking.considered[0].lacks_the_model);
        assert_eq!(lacking.why_none(), ["no endpoint has other"]);
        assert_eq!(lacking.why_not(), Vec::<String>::new(), "for who would be asked elsewhere that is no reason");
        for missed in [without(true, EndpointHealth::Unhealthy), without(false, EndpointHealth::Healthy)] {
            let choice = choose("other", &[], &[missed]);
            assert!(!choice.considered[0].lacks_the_model && choice.why_none().is_empty(), "{choice:?}");
        }
        assert_eq!(choose("llama3", &[], &[candidate(1, Warm, None)]).why_none(), Vec::<String>::new());
    }

    #[test]
    fn what_is_too_old_for_whoever_asks_is_not_chosen_and_that_is_why() {
        use ModelFormat::{AnthropicMessages, OpenaiChat, OpenaiResponses};
        let of = |number, version: Option<&str>| {
            let Candidate { endpoint, model, of_others } = candidate(number, Warm, Some(0));
            Candidate { endpoint: Endpoint { version: version.map(str::to_owned), ..endpoint }, model, of_others }
        };
        let mut new = of(2, Some("0.14.1"));
        new.endpoint.busy_percent = Some(100);
        let both = [of(1, Some("0.13.5")), new];
        let chosen = |formats: &[ModelFormat]| choose("llama3", formats, &both).chosen.map(|id| id.0.as_u128());
        assert_eq!([chosen(&[]), chosen(&[OpenaiChat]), chosen(&[OpenaiResponses])], [Some(1); 3]);
        assert_eq!(chosen(&[AnthropicMessages]), Some(2), "however much it has to do");
        assert_eq!(chosen(&[AnthropicMessages, OpenaiResponses]), Some(1), "one of them is enough");

        let alone = choose("llama3", &[AnthropicMessages], &both[..1]);
        let why = "Anthropic's Messages it speaks from Ollama 0.14.0 on, and it is 0.13.5";
        assert_eq!((alone.chosen, &alone.considered[0].reasons[0][..]), (None, why));
        assert_eq!(alone.why_not(), [format!("box 1: {why}; it has the model loaded")]);
        assert_eq!(choose("llama3", &[OpenaiResponses], &[of(3, None)]).chosen, None, "it does not say what it is");
        let without = [Candidate { model: None, ..both[0].clone() }];
        let lacks = |formats: &[ModelFormat]| choose("llama3", formats, &without).considered[0].lacks_the_model;
        assert!(lacks(&[OpenaiChat]) && !lacks(&[AnthropicMessages]), "nothing is pulled where it could not be asked for");
    }

    #[test]
    fn what_was_merely_found_is_given_no_prompts_and_it_is_said_how_that_is_changed() {
        let Candidate { endpoint, model, of_others } = candidate(1, Warm, Some(0));
        let found = Candidate { endpoint: Endpoint { is_confirmed: false, ..endpoint }, model, of_others };
        let choice = choose("llama3", &[], &[found.clone(), candidate(2, Cold, Some(100))]);
        assert_eq!(choice.chosen, Some(EndpointId(Uuid::from_u128(2))));
        let why = &choice.considered[1].reasons[0];
        assert!(why.starts_with("it was found, not confirmed: ") && why.contains("MUSTER_OLLAMA_URL=http://box-1:11434"), "{why}");
        assert_eq!(choose("llama3", &[], &[found]).chosen, None);
    }

    #[test]
    fn two_alike_share_the_work() {
        let mut all = [candidate(1, Warm, None), candidate(2, Warm, None)];
        let mut given = vec![];
        for _ in 0..6 {
            let best = usize::try_from(order(&all)[0]).unwrap();
            all[best - 1].endpoint.attempts += 1;
            given.push(best);
        }
        assert_eq!(given, [1, 2, 1, 2, 1, 2]);
    }

    #[test]
    fn more_work_goes_where_there_is_less_to_do() {
        let mut all = [candidate(1, Warm, Some(80)), candidate(2, Warm, Some(10))];
        let mut given = [0, 0];
        for _ in 0..8 {
            let best = usize::try_from(order(&all)[0]).unwrap();
            all[best - 1].endpoint.attempts += 1;
            given[best - 1] += 1;
        }
        assert!(given[1] > given[0] && given[0] > 0, "{given:?}");
        assert_eq!(
            order(&[candidate(1, Warm, Some(60)), candidate(2, Warm, None), candidate(3, Warm, Some(40))]),
            [3, 2, 1],
            "the unknown is half busy"
        );
    }

    #[test]
    fn what_others_do_there_counts_and_how_much_it_is_is_not_told() {
        let mut busy = candidate(1, Warm, Some(10));
        (busy.endpoint.attempts, busy.of_others) = (3, 2);
        let choice = choose("llama3", &[], &[busy, candidate(2, Warm, Some(50))]);
        assert_eq!(choice.chosen, Some(EndpointId(Uuid::from_u128(2))), "85 is more than 50");
        let told = &choice.considered[1];
        assert_eq!(
            (told.load, told.reasons[1].as_str()),
            (35, "load 35: its machine is 10 % busy, 1 attempt works there, beside what other workspaces do")
        );
    }

    #[test]
    fn one_that_is_known_twice_is_one() {
        let runner = crate::RunnerId(Uuid::from_u128(7));
        let of = |number: u128| candidate(number, Warm, None).endpoint;
        let (found, registered) = (Endpoint { runner_id: Some(runner), ..of(1) }, Endpoint { machine_of: Some(runner), ..of(2) });
        assert!(found.is_beside(&registered) && registered.is_beside(&found) && found.is_beside(&found));
        let twice = Endpoint { url: of(2).url, ..of(3) };
        assert!(twice.is_beside(&registered), "another workspace may have registered it as well");
        assert!(!of(3).is_beside(&of(4)) && !of(3).is_beside(&found));
        let local = |endpoint| Endpoint { url: "http://127.0.0.1:11434".into(), ..endpoint };
        assert!(!local(found).is_beside(&local(of(3))), "each means its own machine by that");
    }

    #[test]
    fn where_all_else_is_equal_the_fresher_look_counts() {
        let mut fresher = candidate(2, Warm, Some(10));
        fresher.endpoint.checked_at = Some(DateTime::UNIX_EPOCH + TimeDelta::seconds(5));
        assert_eq!(order(&[candidate(1, Warm, Some(10)), fresher]), [2, 1]);
    }
}
