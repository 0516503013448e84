// What fleet-agent is when it is started as a helper, alone.
#include "agent/checks/filesystem_stats.h"

int main() { return fleet::agent::StatfsHelperMain(); }
