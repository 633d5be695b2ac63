"""MediaPipe's networks: bundles made of them, landmarks followed through a clip, hands given to their arms."""
