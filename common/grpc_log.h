#pragma once

namespace fleet {

/// Sends what gRPC itself logs to our debug level: it calls an error what is none (each client that
/// dials an address), and says nothing that our own lines do not say better. Before any use of
/// gRPC.
void QuietGrpc();

}  // namespace fleet
