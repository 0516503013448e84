#pragma once

namespace fleet {

/// What a program does before its first use of gRPC. What gRPC itself logs goes to our debug level:
/// it calls an error what is none (each client that dials an address), and says nothing that our
/// own lines do not say better. And its mutexes no longer look for cycles: Debian builds Abseil
/// with its debugging on, which costs at each lock and would end the program at a suspicion.
void PrepareGrpc();

}  // namespace fleet
