//! The stub server: what it puts on the wire, and what it has to say about a client.
