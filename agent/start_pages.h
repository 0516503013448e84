#pragma once

namespace fleet::agent {

/// Lets go of what only the start of the program needed: the mapped pages of code and constants,
/// and what malloc keeps for itself. A start reads nearly all of the program, the hours after it a
/// fifth. What is used later comes back from the page cache by itself, some pages at a time.
///
/// Any thread, at any time; costs a few hundred minor faults.
void DropStartPages();

}  // namespace fleet::agent
