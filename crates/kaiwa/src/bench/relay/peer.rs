//! The server at the far end: answers every event with what it was sent.

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{accept_async, tungstenite::Message};

/// Sound on its way up.
pub(super) const UP: &str = "input_audio_buffer.append";
/// What answers it.
const DOWN: &str = "response.output_audio.delta";

/// Serves whoever connects, for as long as the process lives.
pub(super) async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream));
    }
}

/// Sound comes back as sound of the other direction, everything else as it is: whatever was
/// changed on the way up is changed in the answer, too.
pub(super) fn answer(frame: &str) -> String {
    frame.replacen(UP, DOWN, 1)
}

async fn converse(stream: TcpStream) {
    // The measured way is the same without it, only slower.
    let _ = stream.set_nodelay(true);
    let Ok(mut socket) = accept_async(stream).await else {
        return;
    };
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Text(text) = message
            && socket.send(Message::text(answer(&text))).await.is_err()
        {
            return;
        }
    }
}
