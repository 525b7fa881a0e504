//! `/dev/components`: every component in every state, for the eyes of those who build them. In a release it is not there.

use leptos::{prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::LazyRoute;

use crate::{
    components::{
        Badge, Button, ButtonKind, CopyButton, Dialog, DiffView, Elapsed, Empty, ErrorView, Icon, LinkButton, Loading, LogView, Notice,
        SelectField, TextAreaField, TextField, ThemeSwitch, Time, Tone,
        change_lines::{piece, pieces},
        diff_view::parse::parse,
        log_view::{
            LogStart, LogState,
            screen::{LineKind, Screen},
        },
        toast::ToastCard,
    },
    not_found::NotHere,
    part::{NotLoaded, part},
    task::state_badge::{asks_badge, attempt_badge, check_badge, priority_badge, proof_badge, state_badge},
};

pub struct ComponentsPage;

impl LazyRoute for ComponentsPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("places", components_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(places, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn components_page() -> Result<AnyView, NotLoaded> {
    Ok(if cfg!(debug_assertions) {
        gallery().into_any()
    } else {
        view! { <NotHere detail="There is nothing at this address." /> }.into_any()
    })
}

fn gallery() -> impl IntoView {
    view! {
        <Title text="Components · Muster" />
        <div class="l-head"><h1 class="l-head__title">"Components"</h1></div>
        {section("Badges", badges())}
        {section("Buttons", buttons())}
        {section("Fields", fields())}
        {section("Notices and toasts", notices())}
        {section("Loading, empty, error", feedback())}
        {section("Time, copy, theme, dialog", small())}
        {section("Log", log())}
        {section("A change before it is made", change())}
        {section("Diff", view! { <DiffView files=parse(DIFF) download="/x" cut=true /> })}
    }
}

fn section(title: &'static str, content: impl IntoView + 'static) -> impl IntoView {
    view! { <section class="l-part"><h2 class="l-part__title">{title}</h2>{content.into_any()}</section> }
}

fn badges() -> impl IntoView {
    view! {
        <p class="u-row">{domain::TaskStateName::ALL.map(state_badge).collect_view()}</p>
        <p class="u-row">{domain::AttemptState::ALL.map(attempt_badge).collect_view()}</p>
        <p class="u-row">
            {check_badge(None)}
            {domain::CheckStatus::ALL.map(|status| check_badge(Some(status))).collect_view()}
            {proof_badge(1)} {proof_badge(0)} {asks_badge(true)} {domain::Priority::ALL.map(priority_badge).collect_view()}
        </p>
        <p class="u-row">{Tone::ALL.map(|tone| view! { <Badge tone=tone shape=Icon::Clock text=tone.name() /> }).collect_view()}</p>
    }
}

fn buttons() -> impl IntoView {
    let press = Callback::new(|()| {});
    view! {
        <p class="u-row">
            <Button text="Primary" kind=ButtonKind::Primary shape=Icon::Plus on_press=press />
            <Button text="Plain" on_press=press />
            <Button text="Quiet" kind=ButtonKind::Quiet shape=Icon::Retry on_press=press />
            <Button text="Danger" kind=ButtonKind::Danger on_press=press />
            <Button text="Busy" kind=ButtonKind::Primary busy=Signal::stored(true) on_press=press />
            <Button text="Only an icon" shape=Icon::Close icon_only=true on_press=press />
            <LinkButton href="/dev/components" text="A link" shape=Icon::File />
        </p>
    }
}

fn fields() -> impl IntoView {
    let wrong = Signal::stored(vec!["Must not be empty.".to_owned()]);
    view! {
        <div class="p-new__pair">
            <TextField id="f1" label="Text" name="f1" placeholder="placeholder" hint="A hint below it." />
            <TextField id="f2" label="Wrong" name="f2" value="x" errors=wrong />
            <TextField id="f3" label="Code" name="f3" value="/srv/git/app" code=true optional=true />
            <SelectField id="f4" label="Select" name="f4" value="b" choices=vec![("a", "One"), ("b", "Two")] />
        </div>
        <TextAreaField id="f5" label="Text area" name="f5" value="line one\nline two" errors=wrong hint="One per line." />
    }
}

fn notices() -> impl IntoView {
    let notice = |tone: Tone| view! { <Notice tone=tone title=format!("Notice: {}", tone.name())><p>"What it is about, and what to do."</p></Notice> };
    view! {
        {[Tone::Info, Tone::Good, Tone::Warn, Tone::Bad, Tone::Dim].map(notice).collect_view()}
        <div class="u-row">
            {[Tone::Good, Tone::Warn, Tone::Bad].map(|tone| view! { <ToastCard tone=tone text="Cancellation asked for".to_owned() on_close=|| () /> }).collect_view()}
        </div>
    }
}

fn feedback() -> impl IntoView {
    view! {
        <Loading lines=4 />
        <Empty title="No task yet" shape=Icon::List><p>"Say what to do and what counts as done."</p></Empty>
        <ErrorView
            title="Not reachable at the moment"
            detail="The database does not answer. Try again in a few seconds."
            reference=Some("0190a2b4".to_owned())
            retry=Some("/dev/components".to_owned())
        />
    }
}

fn small() -> impl IntoView {
    let open = RwSignal::new(false);
    let at = chrono::DateTime::from_timestamp(1_790_000_000, 0).unwrap_or_default();
    view! {
        <p class="u-row">
            <Time at=at />
            <Elapsed from=at to=Some(at + chrono::TimeDelta::seconds(200)) />
            <Elapsed from=at to=None />
            <span class="c-command"><code>"git switch main"</code><CopyButton text="git switch main".to_owned() label="Copy the command" /></span>
            <Button text="Open the dialog" on_press=Callback::new(move |()| open.set(true)) />
        </p>
        <ThemeSwitch />
        <Dialog id="demo-dialog" title="A question" open=open>
            <p>"With its explanation."</p>
            <form class="c-dialog__acts" method="dialog"><button class="c-button" type="submit">"Close"</button></form>
        </Dialog>
    }
}

const LOG: &str = "$ make test\n\x1b[1;32m   Compiling\x1b[0m app v0.1.0 (/srv/app)\n\x1b[33mwarning\x1b[0m: unused variable\n10%\r55%\r100%\n\
    \x1b[38;5;208morange\x1b[0m \x1b[38;2;90;80;255mtrue colour\x1b[0m \x1b[41;97m FAIL \x1b[0m \x1b[7minverse\x1b[0m \x1b[4munderlined\x1b[0m\n\
    <script>alert('not run')</script>\ntest result: \x1b[32mok\x1b[0m. 12 passed\nstill wri";

fn log() -> impl IntoView {
    let (mut screen, mut lines) = (Screen::from_offset(0), vec![]);
    for (stream, text) in [
        (domain::LogStream::Muster, "Fetched main at 0f3a91c\n"),
        (domain::LogStream::Stdout, LOG),
        (domain::LogStream::Stderr, "error: something on the other stream\n"),
    ] {
        let end = screen.end() + text.len() as i64;
        screen.take(&domain::LogChunk { offset: screen.end(), end, attempt: 1, stream, text: text.into() }, &mut lines);
    }
    let palette = (0..=255_u8).map(|n| format!("\x1b[38;5;{n}m{n:>4}\x1b[0m{}", if n % 16 == 15 { "\n" } else { "" })).collect::<String>();
    let end = screen.end() + palette.len() as i64;
    let chunk = domain::LogChunk { offset: screen.end(), end, attempt: 2, stream: domain::LogStream::Stdout, text: palette };
    screen.take(&chunk, &mut lines);
    debug_assert!(lines.iter().any(|line| line.kind == LineKind::Attempt(2)));
    let start = LogStart::new(screen, &lines, true);
    view! { <LogView start=start state=LogState::Live download="/x" empty="" on_ready=|_| () /> }
}

fn change() -> impl IntoView {
    let pieces = pieces("fn main() {\n    old();\n}\n", "fn main() {\n    new();\n    more();\n}\n", 3, str::to_owned);
    view! { <pre class="c-output c-change-lines">{pieces.into_iter().map(piece).collect_view()}</pre> }
}

const DIFF: &str = "diff --git a/src/main.rs b/src/main.rs\nindex 1..2 100644\n--- a/src/main.rs\n+++ b/src/main.rs\n@@ -1,4 +1,5 @@ fn main() {\n \
    fn main() {\n-    println!(\"hello\");\n+    println!(\"hello, world\");\n+    println!(\"<b>not bold</b>\");\n }\n // the end\n\
    \\ No newline at end of file\n\
    diff --git a/old_name.rs b/new_name.rs\nsimilarity index 100%\nrename from old_name.rs\nrename to new_name.rs\n\
    diff --git a/logo.png b/logo.png\nnew file mode 100644\nindex 0..1\nBinary files /dev/null and b/logo.png differ\n";
