//! Fields that the form of a new task and the form that changes one have in common, with the same words in both.

use domain::{Priority, task::RetryStrategy};
use leptos::prelude::*;

use crate::components::{SelectField, TextAreaField, TextField};

/// Where such a field stands: what its form puts before its own name, so that `form` and `tags` become `form[tags]`, and what is
/// wrong with the field at a JSON pointer.
pub struct In<'a> {
    pub form: &'static str,
    pub errors: &'a dyn Fn(&'static str) -> Signal<Vec<String>>,
}

impl In<'_> {
    fn name(&self, field: &str) -> String {
        format!("{}[{field}]", self.form)
    }

    pub fn priority(&self, value: String) -> AnyView {
        let choices = Priority::ALL.map(|priority| (priority.name(), priority_name(priority))).to_vec();
        let errors = (self.errors)("/priority");
        view! { <SelectField id="priority" label="Priority" name=self.name("priority") value=value choices=choices errors=errors /> }
            .into_any()
    }

    pub fn tags(&self, value: String) -> AnyView {
        view! {
            <TextField
                id="tags"
                label="Tags"
                name=self.name("tags")
                value=value
                optional=true
                hint="Words to find it by, separated by spaces."
                errors=(self.errors)("/tags")
            />
        }
        .into_any()
    }

    pub fn complete_by(&self, value: String) -> AnyView {
        view! {
            <TextField
                id="complete-by"
                label="Complete by"
                name=self.name("complete_by")
                kind="datetime-local"
                value=value
                optional=true
                hint="In UTC. When it is not done by then it is stopped and has failed."
                errors=(self.errors)("/complete_by")
            />
        }
        .into_any()
    }

    pub fn queue_time(&self, value: String) -> AnyView {
        view! {
            <TextField
                id="queue-time"
                label="Longest wait in the queue"
                name=self.name("queue_time")
                value=value
                optional=true
                max=20_u32
                hint="When no runner has taken it by then it is set aside."
                errors=(self.errors)("/queue_seconds")
            />
        }
        .into_any()
    }

    pub fn timeout(&self, value: String, hint: &'static str) -> AnyView {
        view! {
            <TextField
                id="timeout"
                label="Time limit"
                name=self.name("timeout")
                value=value
                max=20_u32
                hint=hint
                errors=(self.errors)("/timeout_seconds")
            />
        }
        .into_any()
    }

    pub fn max_attempts(&self, value: String, hint: &'static str) -> AnyView {
        view! {
            <TextField
                id="attempts"
                label="Attempts at most"
                name=self.name("max_attempts")
                kind="number"
                value=value
                hint=hint
                errors=(self.errors)("/max_attempts")
            />
        }
        .into_any()
    }

    /// The strategy, its two times, and what is different by class of failure.
    pub fn retry(&self, [strategy, base, cap, by_class]: [String; 4]) -> AnyView {
        let strategies = RetryStrategy::ALL.map(|strategy| (strategy.name(), strategy_name(strategy))).to_vec();
        view! {
            <div class="p-new__trio">
                <SelectField
                    id="retry"
                    label="Waits between attempts"
                    name=self.name("retry")
                    value=strategy
                    choices=strategies
                    errors=(self.errors)("/retry/strategy")
                />
                <TextField
                    id="retry-base"
                    label="First wait"
                    name=self.name("retry_base")
                    value=base
                    max=20_u32
                    hint="At most an hour."
                    errors=(self.errors)("/retry/base_seconds")
                />
                <TextField
                    id="retry-cap"
                    label="Longest wait"
                    name=self.name("retry_cap")
                    value=cap
                    max=20_u32
                    hint="At most a day."
                    errors=(self.errors)("/retry/cap_seconds")
                />
            </div>
            <TextAreaField
                id="retry-by-class"
                label="Waits that are different by class of failure"
                name=self.name("retry_by_class")
                value=by_class
                optional=true
                code=true
                rows=2
                hint="One per line, such as provider_limit=linear,5m,1h. Classes: runner_lost, provider_limit, infrastructure."
                errors=(self.errors)("/retry/by_class")
            />
        }
        .into_any()
    }
}

fn strategy_name(strategy: RetryStrategy) -> &'static str {
    match strategy {
        RetryStrategy::Exponential => "Doubling",
        RetryStrategy::Linear => "Growing evenly",
        RetryStrategy::Fibonacci => "Fibonacci",
        RetryStrategy::None => "No further attempt",
    }
}

fn priority_name(priority: Priority) -> &'static str {
    match priority {
        Priority::Urgent => "Urgent",
        Priority::High => "High",
        Priority::Normal => "Normal",
        Priority::Low => "Low",
    }
}
