//! A stream: the same reply, in pieces, with an end.

use openclaw_core::model::ModelReply;

use super::{
    Meets, Trial,
    trial::{WORDS, says},
};

/// A stream ends in the reply that `complete` gives.
pub async fn stream_and_complete_agree(trial: &Trial<'_>) {
    for words in [WORDS, ""] {
        let mut reply = ModelReply::text(words);
        (reply.usage.input, reply.usage.output) = (10, 20);
        trial.meets(Meets::Answer(reply.clone())).await;
        let completed = trial.complete(says("hello")).await.expect("a reply");
        trial.meets(Meets::Answer(reply)).await;
        let (_, streamed) = trial.stream(says("hello")).await.expect("a reply");
        assert_eq!(streamed, completed, "streamed, and completed");
    }
}

/// The pieces join to the text of the reply, and none of them is empty.
pub async fn the_pieces_of_a_stream_join_to_its_reply(trial: &Trial<'_>) {
    for words in [WORDS, "", "one"] {
        trial.meets(Meets::Answer(ModelReply::text(words))).await;
        let (pieces, reply) = trial.stream(says("hello")).await.expect("a reply");
        assert_eq!(pieces.concat(), words, "the pieces");
        assert_eq!(reply.text, words, "the reply");
        assert!(!pieces.iter().any(String::is_empty), "an empty piece among {pieces:?}");
    }
}

/// A reply of many words comes in more than one piece.
pub async fn a_stream_comes_in_pieces(trial: &Trial<'_>) {
    let words = WORDS.repeat(10);
    trial.meets(Meets::Answer(ModelReply::text(words))).await;
    let (pieces, _) = trial.stream(says("hello")).await.expect("a reply");
    assert!(pieces.len() > 1, "it came in one piece");
}

/// Behind its end a stream goes on to say that it has ended.
pub async fn an_ended_stream_stays_ended(trial: &Trial<'_>) {
    let mut stream = trial.model().stream(trial.call(says("hello"))).await.expect("a stream");
    while stream.next().await.expect("a piece").is_some() {}
    for _ in 0..3 {
        assert_eq!(stream.next().await.expect("the end"), None, "behind the end");
    }
    assert_eq!(stream.finish().await.expect("the reply").text, "hello");
}

/// A stream that was not read to its end has no reply yet.
pub async fn a_stream_is_finished_only_at_its_end(trial: &Trial<'_>) {
    trial.meets(Meets::Answer(ModelReply::text(WORDS))).await;
    let mut stream = trial.model().stream(trial.call(says("hello"))).await.expect("a stream");
    stream.next().await.expect("a piece").expect("the first of some");
    drop(stream.finish().await.expect_err("a reply that nobody has seen the end of"));
}
