#pragma once
// The misbehaving web server of the download tests (http_server.py) as a child process.

#include <filesystem>
#include <string>

namespace atlas::tests {

class WebServer {
  public:
    /// Starts it; `gguf` is the model file it serves. port() is 0 when python3 is missing.
    explicit WebServer(const std::filesystem::path& gguf);
    ~WebServer();
    WebServer(const WebServer&) = delete;
    WebServer& operator=(const WebServer&) = delete;

    int port() const { return port_; }
    std::string url(const std::string& path) const { return "http://127.0.0.1:" + std::to_string(port_) + path; }

  private:
    int port_ = 0;
    int input_ = -1;
    int child_ = -1;
};

}  // namespace atlas::tests
