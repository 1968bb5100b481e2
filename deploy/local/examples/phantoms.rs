//! Draws phantoms into a folder, to look at them: `cargo run -p wardround-local --example phantoms -- FOLDER [PATIENTS]`.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use wardround_local::phantom::Phantoms;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: phantoms FOLDER [PATIENTS]")?;
    let usual = Phantoms::default();
    let patients = arguments.next().map_or(Ok(usual.patients), |count| count.parse())?;
    let start = Instant::now();
    let sites = Phantoms { patients, ..usual }.draw(Path::new(&folder), &|_, _| {})?;
    for site in &sites {
        println!(
            "{}: {} patients, {} images; {}",
            site.site, site.patients, site.images, site.about
        );
    }
    println!("{:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
