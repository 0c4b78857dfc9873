import QMP
import QMPClient
import Testing

@Suite("progress in words")
struct ProgressTextTests {
  private func job(_ done: Int, of total: Int, eta: Int? = nil) -> JobInfo {
    JobInfo {
      $0.status = .running
      ($0.currentProgress, $0.totalProgress) = (done, total)
      $0.progress = JobProgress {
        $0.phase = "copy"
        $0.bytesPerSecond = 160 << 20
        $0.etaSeconds = eta
      }
    }
  }

  @Test("a line says percent, amount, speed, time left and phase")
  func line() {
    #expect(
      ProgressText.line(job(100 << 20, of: 300 << 20, eta: 125))
        == " 33.3 %  100 / 300 MiB  160 MiB/s  ETA 2:05  copy")
    #expect(
      ProgressText.line(job(0, of: 3 << 19)) == "  0.0 %  0.0 / 1.5 MiB  160 MiB/s  copy")
  }

  @Test("a bar that the terminal has no room for is left out, and a line that is too long is cut")
  func narrow() {
    let job = job(100 << 20, of: 300 << 20, eta: 125)
    let line = ProgressText.line(job)
    #expect(ProgressText.bar(job, width: line.count + 23).hasPrefix("["))
    #expect(ProgressText.bar(job, width: line.count + 22) == line)
    #expect(ProgressText.bar(job, width: 20) == String(line.prefix(20)))
    #expect(ProgressText.bar(job, width: 0).isEmpty)
  }

  @Test("a job that does not work says its state")
  func paused() {
    var job = job(1 << 20, of: 2 << 20)
    job.status = .paused
    #expect(ProgressText.line(job) == " 50.0 %  1.0 / 2.0 MiB  160 MiB/s  paused")
  }

  @Test("the bar is as full as the percentage says", arguments: [(0, 0), (1, 10), (2, 20)])
  func bar(done: Int, filled: Int) {
    let bar = ProgressText.bar(job(done, of: 2)).prefix(22)
    #expect(
      bar == "[\(String(repeating: "#", count: filled))"
        + "\(String(repeating: "-", count: 20 - filled))]")
  }

  @Test("the percentage stays between 0 and 100 whatever the numbers are")
  func bounds() {
    #expect(ProgressText.percent(job(0, of: 0)) == 0)
    #expect(ProgressText.percent(job(5, of: 4)) == 100)
    #expect(ProgressText.percent(job(-1, of: 4)) == 0)
    #expect(ProgressText.percent(job(.max, of: .max)) == 100)
  }

  @Test(
    "qemu-img's form has two places",
    arguments: [(0.0, "0.00"), (12.345, "12.35"), (100, "100.00")])
  func qemu(percent: Double, text: String) {
    #expect(ProgressText.qemu(percent: percent) == "    (\(text)/100%)")
  }

  @Test(
    "time is read in minutes, and in hours where there are any",
    arguments: [(0, "0:00"), (9, "0:09"), (61, "1:01"), (3600, "1:00:00"), (36_061, "10:01:01")])
  func duration(seconds: Int, text: String) {
    #expect(ProgressText.duration(seconds) == text)
  }
}
