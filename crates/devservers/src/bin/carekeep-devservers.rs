//! Starts a private PostgreSQL and a private Redis in a temporary directory, prints the directory and one URL per
//! line, and holds them until its standard input ends or it is interrupted. For trying things by hand, and for the
//! test that kills it.

use std::io::{self, Write as _};

use carekeep_devservers::{Postgres, PostgresOptions, Redis, RedisOptions, Scratch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let scratch = Scratch::new()?;
        let mut postgres = Postgres::start(PostgresOptions::for_tests(scratch.path().join("pg"))).await?;
        let mut redis = Redis::start(RedisOptions::for_tests(scratch.path().join("redis"))).await?;
        let mut out = io::stdout().lock();
        writeln!(out, "{}", scratch.path().display())?;
        writeln!(out, "{}\n{}", postgres.superuser_url("postgres"), redis.url())?;
        out.flush()?;
        // A thread, not a task: a read of standard input cannot be cancelled, and must not hold up the end.
        let (tell, input_ended) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = tell.send(io::copy(&mut io::stdin().lock(), &mut io::sink()));
        });
        tokio::select! {
            read = input_ended => { read??; }
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
        postgres.stop().await;
        redis.stop().await;
        Ok(())
    })
}
