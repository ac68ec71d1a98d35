//! What all servers offer: the same words on each.

/// Gives a server and its builder their common words.
macro_rules! face {
    ($server:ident, $builder:ident) => {
        impl $server {
            /// Settings for a server of its own.
            pub fn builder() -> $builder {
                $builder::default()
            }

            /// Where clients connect to; the same after a restart.
            #[must_use]
            pub fn url(&self) -> String {
                self.0.url()
            }

            /// The port on 127.0.0.1; the same after a restart.
            #[must_use]
            pub fn port(&self) -> u16 {
                self.0.home().port()
            }

            /// Its directory: data, configuration and log, until this value is dropped.
            #[must_use]
            pub fn dir(&self) -> &Path {
                self.0.home().path()
            }

            /// All it has printed since its first start, for a test that fails.
            #[must_use]
            pub fn log(&self) -> String {
                self.0.home().log()
            }

            /// The number of its first process; `None` while it doesn't run.
            #[must_use]
            pub fn pid(&self) -> Option<u32> {
                self.0.id()
            }

            /// SIGKILL to all its processes at once. Data and port stay for a restart.
            ///
            /// # Errors
            /// [`ServerError::Failed`] when a process is still there 20 s later.
            pub async fn kill(&mut self) -> Result<(), ServerError> {
                self.0.kill().await
            }

            /// Starts it again on the same port and data. Stops it first if it runs.
            ///
            /// # Errors
            /// [`ServerError::PortTaken`] when the port was lost meanwhile;
            /// [`ServerError::Failed`] when it does not stop, or does not come back.
            pub async fn restart(&mut self) -> Result<(), ServerError> {
                self.0.restart().await
            }

            /// Ends it cleanly. Data and port stay for a restart.
            ///
            /// # Errors
            /// [`ServerError::Failed`] when it had to be killed after 30 s.
            pub async fn shut_down(&mut self) -> Result<(), ServerError> {
                self.0.shut_down(Settings::STOP).await
            }

            /// Ends it cleanly and removes its directory.
            ///
            /// # Errors
            /// [`ServerError::Failed`] when it had to be killed after 30 s.
            pub async fn stop(mut self) -> Result<(), ServerError> {
                self.shut_down().await
            }

            /// Halts all its processes by SIGSTOP: connections stay open and nobody answers.
            pub fn pause(&mut self) {
                self.0.pause();
            }

            /// Lets it go on after [`Self::pause`].
            pub fn resume(&mut self) {
                self.0.resume();
            }
        }

        impl $builder {
            /// The program to run, instead of looking for one.
            pub fn binary(mut self, binary: impl Into<PathBuf>) -> Self {
                self.frame.binary = Some(binary.into());
                self
            }

            /// The port on 127.0.0.1, instead of a free one.
            pub const fn port(mut self, port: u16) -> Self {
                self.frame.port = Some(port);
                self
            }

            /// How long a start may take, 60 s by default. It needs real time, not paused time.
            pub const fn deadline(mut self, deadline: Duration) -> Self {
                self.frame.deadline = deadline;
                self
            }

            /// Starts it and waits until it shakes hands.
            ///
            /// # Errors
            /// [`ServerError::Missing`] when the program is not on this machine;
            /// [`ServerError::PortTaken`] when the given port, or five free ones in turn, went
            /// to others; [`ServerError::Failed`] when it ends or is not ready in time.
            pub async fn start(self) -> Result<$server, ServerError> {
                Server::start(self.settings, self.frame).await.map($server)
            }

            /// [`Self::start`], or `None` and a line `NOT RUN: …` when the program is missing.
            ///
            /// The one way for a suite to begin. With `CI` or `OPENCLAW_REQUIRE_SERVERS` set
            /// (not empty, not `0`) a missing program is an error, so that nothing is skipped.
            ///
            /// # Errors
            /// As [`Self::start`].
            pub async fn start_or_skip(self) -> Result<Option<$server>, ServerError> {
                let server = Server::start_or_skip(self.settings, self.frame).await?;
                Ok(server.map($server))
            }
        }
    };
}

pub(super) use face;
