//! The log as the admin API tells of it and changes it.

use petald_actors::admin::{LogControl, LogLevels};

use super::{Levels, Log};
use crate::config::Directives;

impl LogControl for Log {
    fn levels(&self) -> LogLevels {
        let Levels { files, console } = self.levels.get();
        LogLevels { files: files.to_string(), console: console.map(|console| console.to_string()) }
    }

    fn set(&self, levels: &LogLevels) -> Result<(), Vec<(&'static str, String)>> {
        let read = |field, text: &str| text.parse::<Directives>().map_err(|error| (field, error.to_string()));
        let files = read("files", &levels.files);
        let console = levels.console.as_deref().map(|text| read("console", text)).transpose();
        match (files, console) {
            (Ok(files), Ok(console)) => {
                self.levels.set(Levels { files, console }).map_err(|error| vec![("files", error.to_string())])
            }
            (files, console) => Err(files.err().into_iter().chain(console.err()).collect()),
        }
    }

    fn dropped_lines(&self) -> u64 {
        Log::dropped_lines(self)
    }
}
