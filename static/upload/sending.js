// Photos on their way to the server.

function megabytes(bytes, round) {
  return `${round(bytes / 104857.6) / 10} MB`;
}

// What is wrong with so many files of such sizes, or nothing.  Sizes are rounded up, so that they
// never read the same as the limit.
export function problemOf(files, {maxBytes, maxTotal, maxPhotos}) {
  if (files.length > Number(maxPhotos)) {
    return `You chose ${files.length} photos; ${maxPhotos} is the most at a time. Choose fewer.`;
  }
  const total = files.reduce((sum, file) => sum + file.size, 0);
  if (files.length === 1 && total > Number(maxBytes)) {
    return `That file is ${megabytes(total, Math.ceil)}; ${megabytes(maxBytes, Math.round)} ` +
      "is the most. Choose a smaller one.";
  }
  if (total > Number(maxTotal)) {
    return `Together they are ${megabytes(total, Math.ceil)}; ` +
      `${megabytes(maxTotal, Math.round)} is the most at a time. Choose fewer.`;
  }
  return "";
}

// Posts `data`.  `onProgress` is given the share that has been sent.  Resolves to the request once
// it is answered, whatever the answer; rejects with the name of what ended it: "error" or "abort".
export function post(address, data, onProgress) {
  const request = new XMLHttpRequest();
  const answered = new Promise((resolve, reject) => {
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    });
    request.upload.addEventListener("load", () => onProgress(1));
    request.addEventListener("load", () => resolve(request));
    for (const name of ["error", "abort"]) {
      request.addEventListener(name, () => reject(new Error(name)));
    }
  });
  request.open("POST", address);
  request.setRequestHeader("Accept", "text/html");
  request.send(data);
  return {answered, abort: () => request.abort()};
}
