#pragma once
// For calls into a driver that nothing can stop and that may take long, as the compilation of a kernel.

namespace atlas::tools {

/// While one lives, a signal that requests a stop (Interrupt) ends the process a second later, unless all are gone by
/// then. Thread: any.
class EndsSoon {
  public:
    EndsSoon();
    ~EndsSoon();
    EndsSoon(const EndsSoon&) = delete;
    EndsSoon& operator=(const EndsSoon&) = delete;
};

/// From now on EndsSoon does nothing: this command has finished work to write when it is stopped, or goes on.
void keep_finished_work();

}  // namespace atlas::tools
