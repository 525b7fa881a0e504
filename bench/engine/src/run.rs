//! The whole run: what is measured, in which order, and what is promised about it.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::{
    bloat,
    cluster::Cluster,
    figures::{Figure, table},
    fill, graphs, latency, limit,
    load::introduce,
    log, overhead, peers, runners,
    server_process::{RUNNERS, ServerProcess},
    sizes::Sizes,
    stream, throughput,
    throughput::Throughput,
};

#[derive(Args)]
pub struct RunArgs {
    /// A third of the time, and fewer waiting tasks.
    #[arg(long)]
    short: bool,
    /// Tasks that wait while latency is measured a second time.
    #[arg(long)]
    rows: Option<usize>,
    /// Minutes for which a transaction is held open while the growth of the tables is measured.
    #[arg(long, value_name = "N")]
    bloat_minutes: Option<u64>,
    /// One part alone; its table has only that part.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// The disk that the databases write to.
    #[arg(long, default_value = "/var/tmp")]
    disk: PathBuf,
    /// A file of figures that were measured before and belong into the same table.
    #[arg(long)]
    after: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Throughput,
    /// Throughput without peers and without the limit, for whoever makes it better.
    Ours,
    /// Tasks that wait for each other.
    Graphs,
    Latency,
    Stream,
    /// Runners elsewhere, over sockets.
    Runners,
    /// What an attempt costs before its command runs.
    Overhead,
    /// What work can write, and what becomes of it.
    Log,
    Bloat,
}

pub async fn run(args: RunArgs) -> anyhow::Result<()> {
    let mut sizes = if args.short { Sizes::SHORT } else { Sizes::LONG };
    sizes.rows = args.rows.unwrap_or(sizes.rows);
    sizes.bloat = args.bloat_minutes.map_or(sizes.bloat, Duration::from_mins);
    let mut figures: Vec<Figure> = match &args.after {
        Some(path) => serde_json::from_slice(&fs::read(path)?).with_context(|| format!("{} holds no figures", path.display()))?,
        None => vec![],
    };
    let cluster = Cluster::start(&args.disk).await?;
    let measured = measure(&cluster, sizes, args.only).await;
    cluster.stop(measured.is_err()).await?;
    figures.extend(measured?);
    // <cargo's target folder>/release/<this program>
    let json = std::env::current_exe()?.ancestors().nth(2).context("this program is in no target folder")?.join("bench.json");
    fs::write(json, format!("{}\n", serde_json::to_string_pretty(&figures)?))?;
    println!("{}", table(&figures));
    Ok(())
}

async fn measure(cluster: &Cluster, sizes: Sizes, only: Option<Part>) -> anyhow::Result<Vec<Figure>> {
    let wanted = |part: Part| only.is_none_or(|only| only == part);
    let mut figures = vec![];
    if only == Some(Part::Ours) {
        let ours = throughput::measure(cluster, sizes).await?;
        figures.extend(NAMES.map(|(name, pick)| Figure::above(name, "tasks/s", pick(&ours))));
    }
    if wanted(Part::Throughput) {
        figures.extend(throughput_figures(cluster, sizes).await?);
    }
    if wanted(Part::Graphs) {
        figures.extend(graph_figures(cluster).await?);
    }
    if wanted(Part::Latency) {
        figures.extend(latency_figures(cluster, sizes).await?);
    }
    if wanted(Part::Stream) {
        figures.extend(stream_figures(cluster, sizes).await?);
    }
    if wanted(Part::Runners) {
        figures.extend(runners::figures(cluster, sizes.latency).await?);
    }
    if wanted(Part::Overhead) {
        figures.extend(overhead::figures(cluster.folder()).await?);
    }
    if wanted(Part::Log) {
        figures.extend(log::figures(cluster).await?);
    }
    if wanted(Part::Bloat) {
        figures.extend(bloat::figures(cluster, sizes.bloat).await?);
    }
    Ok(figures)
}

async fn throughput_figures(cluster: &Cluster, sizes: Sizes) -> anyhow::Result<Vec<Figure>> {
    eprintln!("  throughput: the bare statements");
    let limit = limit::measure(cluster, sizes).await?;
    eprintln!("  throughput: peers");
    let peers = peers::measure(cluster, sizes).await?;
    eprintln!("  throughput: ours");
    let ours = throughput::measure(cluster, sizes).await?;
    let [creates, lives, batch_creates, batch_lives] = NAMES.map(|(name, pick)| {
        let peers = peers.iter().map(|(peer, measured)| (*peer, pick(measured)));
        Figure::above(name, "tasks/s", pick(&ours)).beside(peers, pick(&limit))
    });
    let to_beat = creates.peers.get(peers::BULLMQ).copied().unwrap_or(0.0);
    Ok(vec![creates.goal(f64::max(to_beat, 0.4 * limit.creates)), lives, leads(batch_creates), leads(batch_lives)])
}

/// One figure of a throughput.
type Pick = fn(&Throughput) -> f64;

/// What throughput has to say, in the order of the table.
const NAMES: [(&str, Pick); 4] = [
    ("creates over HTTP, one at a time, 32 clients", |one| one.creates),
    ("whole lives, created one at a time, 32 clients", |one| one.lives),
    ("creates over HTTP in batches of 100, 8 clients", |one| one.batch_creates),
    ("whole lives, created in batches of 100, 8 clients", |one| one.batch_lives),
];

fn leads(figure: Figure) -> Figure {
    let least = f64::max(1.2 * figure.best_peer(), 0.5 * figure.limit.unwrap_or(0.0));
    figure.goal(least)
}

async fn graph_figures(cluster: &Cluster) -> anyhow::Result<Vec<Figure>> {
    eprintln!("  graphs");
    let measured = graphs::measure(cluster).await?;
    let (levels, width, rows) = (graphs::LEVELS, graphs::WIDTH, graphs::ROWS);
    let nodes = levels * width;
    let graph = format!("graph of {nodes} nodes: {levels} levels of {width}, each waits for the first node of the level before");
    let follows = |rows: &str| format!("one node of a chain to the next, p50{rows}");
    Ok(vec![
        Figure::above(format!("{nodes} independent tasks"), "tasks/s", measured.independent),
        Figure::above(graph, "nodes/s", measured.graph).goal(0.5 * measured.independent),
        Figure::below(follows(", 300 rows in the table"), "ms", measured.follows),
        Figure::below(follows(&format!(", {rows} nodes wait")), "ms", measured.follows_among_many).goal(1.5 * measured.follows),
    ])
}

async fn latency_figures(cluster: &Cluster, sizes: Sizes) -> anyhow::Result<Vec<Figure>> {
    eprintln!("  latency: an empty queue");
    let url = cluster.database("muster_latency").await?;
    let server = ServerProcess::start(&url, RUNNERS, cluster.folder()).await?;
    let first = introduce(cluster, &url, &server).await?;
    server.has_ended(first as u64).await?;
    let pattern = latency::pattern(&server).await?;
    let empty = latency::measure(&server, sizes.latency).await?;
    eprintln!("  latency: {} tasks wait", sizes.rows);
    fill::with_waiting_tasks(&url, pattern, sizes.rows).await?;
    let full = latency::measure(&server, sizes.latency).await?;
    server.stop().await?;
    let name = |what: &str, waiting: &str| format!("{what}, 100 tasks/s{waiting}");
    let rows = format!(", {} tasks wait", sizes.rows);
    Ok(vec![
        Figure::below(name("accepted to given to a runner, p50", ""), "ms", empty.accepted_p50).goal(10.0),
        Figure::below(name("accepted to given to a runner, p99", ""), "ms", empty.accepted_p99).goal(50.0),
        Figure::below(name("request sent to given to a runner, p50", ""), "ms", empty.sent_p50),
        Figure::below(name("request sent to given to a runner, p99", ""), "ms", empty.sent_p99),
        Figure::below(name("accepted to given to a runner, p50", &rows), "ms", full.accepted_p50).goal(1.5 * empty.accepted_p50),
        Figure::below(name("accepted to given to a runner, p99", &rows), "ms", full.accepted_p99).goal(1.5 * empty.accepted_p99),
        Figure::below(name("request sent to given to a runner, p50", &rows), "ms", full.sent_p50),
        Figure::below(name("request sent to given to a runner, p99", &rows), "ms", full.sent_p99),
    ])
}

async fn stream_figures(cluster: &Cluster, sizes: Sizes) -> anyhow::Result<Vec<Figure>> {
    eprintln!("  event stream");
    let url = cluster.database("muster_stream").await?;
    let server = ServerProcess::start(&url, 0, cluster.folder()).await?;
    introduce(cluster, &url, &server).await?;
    let measured = stream::measure(&server, sizes.stream).await?;
    server.stop().await?;
    let name = |what: &str| format!("{what}, {} clients, {} events/s", stream::CLIENTS, stream::EVENTS_PER_SECOND);
    Ok(vec![
        Figure::below(name("event to client, p50"), "ms", measured.p50),
        Figure::below(name("event to client, p99"), "ms", measured.p99).goal(250.0),
        Figure::above(name("events handed out"), "/s", measured.delivered)
            .goal(0.98 * (stream::CLIENTS * stream::EVENTS_PER_SECOND) as f64),
        Figure::below(name("memory for a client"), "kB", measured.memory / 1000.0).goal(64.0),
    ])
}
